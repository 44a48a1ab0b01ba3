"""HTTP to one server: time limits, retries, the token for this server only, and the reason if there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from halley import __version__
from halley.cli.answers import MAX_WAIT_SECONDS, asked_seconds
from halley.cli.failures import NoEventLog, Unreachable
from halley.cli.sse import read_data
from halley.cli.target import ServerTarget, is_loopback, same_origin
from halley.cli.timing import Backoff, SystemTiming, Timing
from halley.cli.trusting import trusting_context

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 120.0  # CometAPI reports more than 45 s for a plain query (contract section 7)
ATTEMPTS: Final = 4
PAUSE_TOLD_SECONDS: Final = 2.0  # a shorter pause that a server asks for is not reported
_RETRY_GET: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# no prediction was created; after any other status, a second POST might create a second one
_RETRY_POST: Final = frozenset({429})
_TRUST: Final = (
    "If it is Halley's local certificate: set SSL_CERT_FILE to its bundle.pem, or `ca` in the profile to its ca.pem."
)
# No server listens there, or an earlier slow answer has used up the time limit.
_NOT_AGAIN: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.ReadTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)


class Connection:
    """Requests to one server. The token is sent only to this server's origin; redirects are not followed."""

    def __init__(
        self,
        target: ServerTarget,
        *,
        timing: Timing | None = None,
        transport: httpx2.BaseTransport | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.target = target
        self.timing = timing or SystemTiming()
        self.on_pause: Callable[[str], None] = lambda _: None  # called when the server asks for a long pause
        self._read_seconds = read_seconds
        self._deadline: float | None = None  # of the monotonic clock
        self.http = httpx2.Client(
            headers={"user-agent": f"halley/{__version__}", "accept": "application/json"},
            timeout=httpx2.Timeout(read_seconds, connect=CONNECT_SECONDS),
            follow_redirects=False,
            transport=transport,
            verify=trusting_context(target.ca),
            trust_env=not is_loopback(target.root),  # loopback addresses are never reached through a proxy
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Limit each request, and each pause that a server asks for, to approximately this time."""
        self._deadline = None if seconds is None else self.timing.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def _seconds_left(self) -> float:
        return float("inf") if self._deadline is None else self._deadline - self.timing.monotonic()

    def authorization(self, url: str) -> dict[str, str]:
        """Return the header for this URL: the token for the target server, nothing for any other host."""
        if self.target.token and same_origin(url, self.target.root):
            return {"authorization": f"Bearer {self.target.token}"}
        return {}

    def listen(self, url: str, *, last_id: str, missing: str, silence_seconds: float) -> Iterator[str | None]:
        """Follow an event stream: yields the data of each event, and None when something else arrives.

        Raises:
            NoEventLog: the server has none at this URL, or refuses access; `missing` is the message.
            Unreachable: the connection could not be made, or broke, or was silent for too long.
        """
        headers = {"accept": "text/event-stream", **({"last-event-id": last_id} if last_id else {})}
        silence_seconds = max(1.0, min(silence_seconds, self._seconds_left()))
        timeout = httpx2.Timeout(self._read_seconds, connect=CONNECT_SECONDS, read=silence_seconds)
        try:
            with self.http.stream(
                "GET", url, headers={**self.authorization(url), **headers}, timeout=timeout
            ) as response:
                if response.status_code >= 500 or response.status_code == 429:
                    raise Unreachable(f"{self.target.root} answered {response.status_code} {response.reason_phrase}.")
                kind = response.headers.get("content-type", "").partition(";")[0].strip()
                if response.status_code != 200 or kind != "text/event-stream":
                    raise NoEventLog(missing)
                yield from read_data(response.iter_bytes())
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._unreachable("GET", error) from error

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
        more_seconds: float = 0,
    ) -> httpx2.Response:
        """Send a request to a path of the API, or to a URL; retried after a refusal that may be temporary.

        Raises:
            Unreachable: there was no answer.
        """
        url = path if "://" in path else f"{self.target.api}{path}"
        again = _RETRY_GET if method == "GET" else _RETRY_POST
        backoff = Backoff(self.timing, start=0.5)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self.http.request(
                    method,
                    url,
                    json=json,
                    files=files,
                    headers={**self.authorization(url), **(headers or {})},
                    timeout=self._timeout(more_seconds),
                )
            except (httpx2.RequestError, httpx2.InvalidURL) as error:
                pause = backoff.next_seconds()
                last = attempt == ATTEMPTS or pause >= self._seconds_left()
                if method != "GET" or isinstance(error, _NOT_AGAIN) or last:
                    raise self._unreachable(method, error) from error
                self.timing.sleep(pause)
                continue
            if response.status_code not in again or files or attempt == ATTEMPTS or _meant_for_us(response):
                return response
            if not self._pause(backoff.next_seconds(), response):
                return response
        raise AssertionError("the loop returns or raises")  # pragma: no cover

    def _timeout(self, more_seconds: float) -> httpx2.Timeout:
        left = max(1.0, self._seconds_left())
        return httpx2.Timeout(min(self._read_seconds + more_seconds, left), connect=min(CONNECT_SECONDS, left))

    def _pause(self, seconds: float, response: httpx2.Response) -> bool:
        """Wait as the server asks, otherwise for `seconds`; False if the time limit of `within` has then passed."""
        asked = asked_seconds(response)
        if asked is not None:
            seconds = min(max(asked, 0.1), MAX_WAIT_SECONDS)
        left = self._seconds_left()
        if asked is not None and asked >= PAUSE_TOLD_SECONDS:
            rest = f"trying again in {seconds:g} s" if seconds < left else "longer than the time that is left"
            self.on_pause(f"{self.target.root} answered {response.status_code} and asks to wait {asked:g} s: {rest}.")
        self.timing.sleep(max(0.0, min(seconds, left)))
        return seconds < left

    def _unreachable(self, method: str, error: Exception) -> Unreachable:
        from halley.egress.reasons import NO_TLS
        from halley.egress.reasons import reason as reason_of

        reason = reason_of(error)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return Unreachable(f"{self.target.root} has a certificate that is not trusted: {reason}.", hint=_TRUST)
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            if reason == NO_TLS:
                hint = f"Try http{self.target.root.removeprefix('https')}."
                return Unreachable(f"{self.target.root} cannot be used: {reason}.", hint=hint)
            hint = "Is it running? `halley serve` starts one." if is_loopback(self.target.root) else "Check the URL."
            return Unreachable(f"Cannot reach {self.target.root}: {reason}.", hint=hint)
        if isinstance(error, httpx2.TimeoutException):
            seconds = self._timeout(0).read or self._read_seconds
            return Unreachable(f"{self.target.root} did not answer within {min(seconds, self._read_seconds):.3g} s.")
        hint = "It is unknown whether the request was carried out." if method != "GET" else ""
        if isinstance(error, httpx2.RemoteProtocolError) and self.target.root.startswith("http://"):
            hint = f"Does it speak HTTPS? Then write https://. {hint}".rstrip()
        return Unreachable(f"The connection to {self.target.root} broke: {reason}.", hint=hint)


def _meant_for_us(response: httpx2.Response) -> bool:
    # a 500 that means "bad request" (CometAPI) would be repeated
    return response.status_code == 500 and b"invalid_request" in response.content
