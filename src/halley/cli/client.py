"""An HTTP client for any Replicate-compatible server: Halley, Replicate, CometAPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2
import msgspec

from halley import __version__
from halley.cli.answers import DEPTH_LIMIT, MAX_WAIT_SECONDS, asked_seconds, read_answer
from halley.cli.counted import Counted
from halley.cli.failures import NoEventLog, ServerRefused, Unreachable, UsageProblem
from halley.cli.sse import read_data
from halley.cli.target import ServerTarget, is_loopback, normalise, same_origin
from halley.cli.timing import Backoff, SystemTiming, Timing
from halley.cli.trusting import trusting_context
from halley.strict_json import is_deeper

Json = dict[str, Any]

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 120.0  # CometAPI reports more than 45 s for a plain query (contract section 7)
ATTEMPTS: Final = 4
PAUSE_TOLD_SECONDS: Final = 2.0  # a shorter pause that a server asks for is made without a word
SILENCE_SECONDS: Final = 45.0  # of an event stream; a comment comes every 15 s
_RETRY_GET: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_RETRY_POST: Final = frozenset({429})  # nothing was made; after anything else a second POST might pay twice


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: `owner/name`, `owner/name:version`, or a bare version id."""

    owner: str | None = None
    name: str | None = None
    version: str | None = None

    @property
    def model(self) -> str | None:
        return f"{self.owner}/{self.name}" if self.owner else None


class PollResult(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a prediction; `held` is True if the server says that it honoured `Prefer: wait`."""

    prediction: Json
    held: bool
    elapsed_seconds: float


class Client:
    """Requests to one server. The token goes to this server's origin and nowhere else; redirects are not followed."""

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
            trust_env=not is_loopback(target.root),  # a proxy of the environment has no business on loopback
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Limit each request, and each pause that a server asks for, to about this time."""
        self._deadline = None if seconds is None else self.timing.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def _seconds_left(self) -> float:
        return float("inf") if self._deadline is None else self._deadline - self.timing.monotonic()

    def authorization(self, url: str) -> dict[str, str]:
        """Give the header for this URL: the token for the target server, nothing for any other host."""
        if self.target.token and same_origin(url, self.target.root):
            return {"authorization": f"Bearer {self.target.token}"}
        return {}

    def look(self, id: str, *, wait_seconds: float = 0) -> PollResult:
        """Read a prediction; with `wait_seconds` ask the server to hold the answer until it is terminal."""
        headers = {"prefer": f"wait={max(1, round(wait_seconds))}"} if wait_seconds else {}
        started = self.timing.monotonic()
        response = self._send("GET", f"/predictions/{_segment(id)}", headers=headers, more_seconds=wait_seconds)
        prediction = _prediction(read_answer(response))
        held = "wait" in response.headers.get("preference-applied", "").lower()
        return PollResult(prediction=prediction, held=held, elapsed_seconds=self.timing.monotonic() - started)

    def events(self, id: str, *, after: int = 0, silence_seconds: float = SILENCE_SECONDS) -> Iterator[Json | None]:
        """Follow the log of a prediction; None when something arrives that is not an event, so that the caller can
        check its time limits.

        It ends where the server ends it, which may be before the prediction does.

        Raises:
            NoEventLog: the server has none, or not for us.
            Unreachable: the connection could not be made, or broke, or was silent for too long.
        """
        url = f"{self.target.api}/predictions/{_segment(id)}/events"
        missing = f"{self.target.root} does not offer an event log of predictions."
        return self._listen(url, str(after), missing, ("seq", "data"), silence_seconds)

    def webhook_messages(self, query: Mapping[str, str], *, after: str = "") -> Iterator[Json | None]:
        """Follow the webhook messages of the account; as `events`.

        Raises:
            NoEventLog: the server has no such route, or not for us.
            Unreachable: the connection could not be made, or broke, or was silent for too long.
        """
        url = str(httpx2.URL(f"{self.target.api}/webhooks/listen", params=dict(query)))
        missing = (
            f"{self.target.root} does not allow listening to webhooks: it is not a Halley server, or the key is wrong."
        )
        return self._listen(url, after, missing, ("position", "headers"), SILENCE_SECONDS)

    def _listen(
        self, url: str, after: str, missing: str, members: tuple[str, str], silence_seconds: float
    ) -> Iterator[Json | None]:
        headers = {"accept": "text/event-stream", **({"last-event-id": after} if after else {})}
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
                for data in read_data(response.iter_bytes()):
                    yield None if data is None else _event(data, *members)
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._unreachable("GET", error) from error

    def create(self, ref: ModelRef, input: Json, *, idempotency_key: str, cancel_after: str | None = None) -> Json:
        """Create a prediction, without waiting for it.

        A model that the server runs by version only (404 on its own path) is asked for its latest version.
        """
        headers = {"idempotency-key": idempotency_key} | ({"cancel-after": cancel_after} if cancel_after else {})
        if ref.model and not ref.version:
            try:
                path = f"/models/{_segment(ref.owner or '')}/{_segment(ref.name or '')}/predictions"
                return _prediction(read_answer(self._send("POST", path, json={"input": input}, headers=headers)))
            except ServerRefused as refused:
                version = (
                    ((self.model(ref) or {}).get("latest_version") or {}).get("id") if refused.status == 404 else None
                )
                if not version:
                    raise
                ref = ModelRef(version=version)
        body = {"version": ref.version, "input": input}
        return _prediction(read_answer(self._send("POST", "/predictions", json=body, headers=headers)))

    def cancel(self, id: str) -> Json:
        """Cancel a prediction; one that has ended is unchanged."""
        return _prediction(read_answer(self._send("POST", f"/predictions/{_segment(id)}/cancel")))

    def predictions(self) -> Iterator[Json]:
        """Go through the predictions, newest first, page by page."""
        return self.pages("/predictions")

    def models(self) -> Iterator[Json]:
        """Go through the models, page by page."""
        return self.pages("/models")

    def model(self, ref: ModelRef) -> Json | None:
        """Read a model; None where the server has none of this name, or no such route."""
        path = f"/models/{_segment(ref.owner or '')}/{_segment(ref.name or '')}"
        try:
            found = read_answer(self._send("GET", path))
        except ServerRefused as refused:
            if refused.status in {404, 405, 501}:
                return None
            raise
        except Unreachable:
            return None  # gateways answer unknown paths with pages; running the model may work all the same
        return found if isinstance(found, dict) else None

    def version(self, ref: ModelRef) -> Json | None:
        """Read a version of a model; None where there is none."""
        path = f"/models/{_segment(ref.owner or '')}/{_segment(ref.name or '')}/versions/{_segment(ref.version or '')}"
        try:
            found = read_answer(self._send("GET", path))
        except (ServerRefused, Unreachable):
            return None
        return found if isinstance(found, dict) else None

    def own_log(self, ref: ModelRef, *, after: int = 0) -> list[Json]:
        """Read what a model's processes printed outside of predictions: an extension of Halley, for admin keys."""
        path = f"/replicas/{_segment(ref.owner or '')}/{_segment(ref.name or '')}/logs"
        lines = list(self.pages(f"{path}?after={after}"))
        return [line for line in lines if str(line.get("version", "")).startswith(ref.version or "")]

    def clear_setup(self, ref: ModelRef) -> int | None:
        """Have a server forget what a model's setup left: an extension of Halley, for admin keys. The bytes."""
        path = f"/replicas/{_segment(ref.owner or '')}/{_segment(ref.name or '')}/setup"
        answer = self.call("DELETE", path)
        return answer.get("cleared_bytes") if isinstance(answer, dict) else None

    def upload(self, path: Path) -> str:
        """Upload a file and give its URL; as `upload_file`."""
        return str(self.upload_file(path)["urls"]["get"])

    def upload_file(self, path: Path, *, on_sent: Callable[[int], None] | None = None) -> Json:
        """Upload a file and give the server's record of it. `on_sent` hears how many bytes have gone out.

        Raises:
            ServerRefused: the server takes no files (404, 405, 501), or not this one.
        """
        with path.open("rb") as file:
            content = file if on_sent is None else Counted(file, on_sent)
            answer = read_answer(self._send("POST", "/files", files={"content": (path.name, content)}))
        url = ((answer or {}).get("urls") or {}).get("get") if isinstance(answer, dict) else None
        if not isinstance(url, str):
            raise Unreachable(f"{self.target.api}/files accepted {path.name} but returned no URL for it.")
        return dict(answer)

    def call(self, method: str, path: str, *, json: Any = None) -> Any:
        """Make any other call of the API and give its decoded answer."""
        return read_answer(self._send(method, path, json=json))

    def pages(self, path: str) -> Iterator[Json]:
        """Go through a list. `next` is followed only on this server: the token goes with it."""
        url: str | None = path
        while url:
            page = read_answer(self._send("GET", url))
            results = page.get("results") if isinstance(page, dict) else None
            if not isinstance(results, list):
                raise Unreachable(f"{self.target.api}{path} answered something that is not a list.")
            yield from (item for item in results if isinstance(item, dict))
            url = _next_url(page.get("next"), self.target)

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
        more_seconds: float = 0,
    ) -> httpx2.Response:
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
        """Wait as the server asks, or else for `seconds`; False if the time of `within` is over then."""
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
        from halley.egress.reasons import reason as reason_of

        reason = reason_of(error)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return Unreachable(f"{self.target.root} has a certificate that is not trusted: {reason}.", hint=_TRUST)
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            hint = "Is it running? `halley serve` starts one." if is_loopback(self.target.root) else "Check the URL."
            return Unreachable(f"Cannot reach {self.target.root}: {reason}.", hint=hint)
        if isinstance(error, httpx2.TimeoutException):
            seconds = self._timeout(0).read or self._read_seconds
            return Unreachable(f"{self.target.root} did not answer within {min(seconds, self._read_seconds):.3g} s.")
        hint = "It is unknown whether the request was carried out." if method != "GET" else ""
        if isinstance(error, httpx2.RemoteProtocolError) and self.target.root.startswith("http://"):
            hint = f"Does it speak HTTPS? Then write https://. {hint}".rstrip()
        return Unreachable(f"The connection to {self.target.root} broke: {reason}.", hint=hint)


_TRUST: Final = (
    "If it is Halley's local certificate: set SSL_CERT_FILE to its bundle.pem, or `ca` in the profile to its ca.pem."
)
# No server listens there, or a slow answer has already used up the time limit.
_NOT_AGAIN: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.ReadTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)


def parse_model_ref(text: str) -> ModelRef:
    """Read `owner/name`, `owner/name:version`, or a version id (64 hex, or any single word such as `dp-0a1b`).

    Raises:
        UsageProblem: it is none of these.
    """
    match = re.fullmatch(r"([^/:\s]+)/([^/:\s]+)(?::([^/:\s]+))?", text)
    if match:
        return ModelRef(owner=match[1], name=match[2], version=match[3])
    if re.fullmatch(r"[0-9a-f]{64}|dp-[0-9a-f]+", text):
        return ModelRef(version=text)
    raise UsageProblem(
        f"{text!r} is not a model.", hint="Write owner/name, owner/name:version, or a folder: ./my-model."
    )


def _prediction(body: Any) -> Json:
    if not isinstance(body, dict) or not isinstance(body.get("id"), str) or not isinstance(body.get("status"), str):
        raise Unreachable("The answer is JSON, but not a prediction: it has no id and status.")
    return body


def _event(data: str, number: str, content: str) -> Json:
    try:
        event = None if is_deeper(data.encode(), DEPTH_LIMIT) else msgspec.json.decode(data)
    except msgspec.DecodeError:
        event = None
    if (
        not isinstance(event, dict)
        or not isinstance(event.get(number), int)
        or not isinstance(event.get(content), dict)
    ):
        raise NoEventLog("This command does not understand the server's event stream.")
    return event


def _segment(text: str) -> str:
    # "." and ".." would be taken out of the path on the way
    return quote(text, safe="") if text.strip(".") else quote(text, safe="").replace(".", "%2E")


def _next_url(following: Any, target: ServerTarget) -> str | None:
    if not isinstance(following, str) or following in {"", "null"}:  # "null" as text: a slip in Replicate's docs
        return None
    if following.startswith("/"):
        parts = httpx2.URL(target.root)
        return f"{parts.scheme}://{parts.netloc.decode('ascii')}{following}"
    if same_origin(following, target.root):
        return following
    # A server behind a proxy may name itself otherwise; the token must not leave. Keep the query, not the host.
    query = httpx2.URL(following).query.decode("ascii")
    _, api = normalise(target.root)
    path = re.sub(r"^.*?/v1(?=/)", "", httpx2.URL(following).path)
    return f"{api}{path}?{query}" if query else None


def _meant_for_us(response: httpx2.Response) -> bool:
    # A 500 that really says "bad request" (CometAPI) would say so again.
    return response.status_code == 500 and b"invalid_request" in response.content
