"""Webhook messages on the client's side: checks signatures, forwards messages to a local program."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self

import httpx2

from halley.cli.client import Json
from halley.cli.failures import Unreachable, UsageProblem
from halley.cli.screen import Screen
from halley.cli.timing import Backoff, Timing

FORWARD_SECONDS: Final = 10.0  # as long as a server waits for a receiver
MAX_FAILURES: Final = 8  # broken connections in a row
_NAMES: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


def checked(body: bytes, lines: Sequence[str], secret: str) -> str:
    """Describe a genuine message and its age.

    Raises:
        UsageProblem: it is not genuine, or cannot be checked.
    """
    from standardwebhooks import Webhook

    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    missing = [name for name in _NAMES if not headers.get(name)]
    if missing:
        raise UsageProblem(f"The header {missing[0]} is missing.", hint=f'Give all three: -H "{missing[0]}: ..."')
    try:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
    except (ValueError, OverflowError, OSError) as error:
        raise UsageProblem(
            "The message or the secret cannot be read.", hint="The secret begins whsec_, the timestamp is a number."
        ) from error
    if not any(hmac.compare_digest(given, expected) for given in headers["webhook-signature"].split()):
        raise UsageProblem(
            "The signature does not match: the secret or the body is a different one, or the message is forged.",
            hint="Use exactly the bytes of the body that arrived.",
        )
    age = time.time() - at.timestamp()
    return f"Genuine, signed {age:.0f} s ago." + (
        " Receivers reject messages older than 5 minutes." if age > 300 else ""
    )


def since_text(seconds: float) -> str:
    """The time `seconds` ago, in the server's format."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class ReadsMessages(Protocol):
    """The method of a client that listening needs."""

    timing: Timing

    def webhook_messages(self, query: Mapping[str, str], *, after: str = "") -> Iterator[Json | None]:
        """Receive messages; see the client."""
        ...


def _receiver_url(text: str) -> str:
    """Raises:
    UsageProblem: it is no URL of a receiver: every message would be lost.
    """
    try:
        url = httpx2.URL(text)
        if url.scheme in ("http", "https") and url.host:
            return text
    except httpx2.InvalidURL:
        pass
    raise UsageProblem(f"--forward {text!r} is not a URL.", hint="Write it as in http://localhost:3000/hook.")


class Forwarder:
    """Posts messages to one URL, in order, and prints the result of each."""

    def __init__(self, url: str, screen: Screen) -> None:
        self._url = _receiver_url(url)
        self._screen = screen
        # no proxy and no redirect: the receiver is on this machine
        self._http = httpx2.Client(trust_env=False, follow_redirects=False, timeout=FORWARD_SECONDS)
        self.count = 0
        self._after = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def begin(self, first: Json) -> None:
        """Post the existing messages, and continue after them."""
        for message in first["results"]:
            self.post(message)
        self._after = str(first["position"])

    def follow(self, client: ReadsMessages, query: Mapping[str, str]) -> None:
        """Post new messages, forever. A broken connection is resumed where it stopped.

        Raises:
            Unreachable: the server did not answer for too long.
            NoEventLog: the server does not allow listening.
        """
        pause = Backoff(client.timing, start=0.2, top=10.0)
        broken = 0
        while True:
            try:
                for message in client.webhook_messages(query, after=self._after):
                    broken = 0
                    pause.reset()
                    if message is not None:
                        self.post(message)
            except Unreachable:
                broken += 1
                if broken >= MAX_FAILURES:
                    raise
            client.timing.sleep(pause.next_seconds())

    def post(self, message: Json) -> None:
        """Post one message unchanged, and print a line about it."""
        content = str(message["body"]).encode()
        headers = {"content-type": "application/json", **message["headers"]}
        began = time.monotonic()
        try:
            answer = str(self._http.post(self._url, content=content, headers=headers).status_code)
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            from halley.egress.reasons import reason

            answer = f"no answer: {reason(error)}"
        took = (time.monotonic() - began) * 1000
        self._screen.out(f"{message['event']:9}  {message['prediction']}  {message['id']}  {answer}  {took:.0f} ms")
        self.count += 1
        self._after = str(message["position"])
