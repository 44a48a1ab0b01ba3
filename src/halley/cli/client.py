"""An HTTP client for any Replicate-compatible server: Halley, Replicate, CometAPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from halley.cli.answers import DEPTH_LIMIT, read_answer
from halley.cli.connection import Connection
from halley.cli.counted import Counted
from halley.cli.failures import NoEventLog, ServerRefused, Unreachable
from halley.cli.model_ref import ModelRef
from halley.cli.target import ServerTarget, normalise, same_origin
from halley.strict_json import is_deeper

Json = dict[str, Any]

SILENCE_SECONDS: Final = 45.0  # of an event stream; a comment comes every 15 s


class PollResult(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to a read of a prediction; `held` is True if the server reports that it applied `Prefer: wait`."""

    prediction: Json
    held: bool
    elapsed_seconds: float


class Client(Connection):
    """What a prediction API offers, one method a call."""

    def look(self, id: str, *, wait_seconds: float = 0) -> PollResult:
        """Read a prediction; with `wait_seconds` ask the server to hold the answer until it is terminal."""
        headers = {"prefer": f"wait={max(1, round(wait_seconds))}"} if wait_seconds else {}
        started = self.timing.monotonic()
        response = self.send("GET", f"/predictions/{segment(id)}", headers=headers, more_seconds=wait_seconds)
        prediction = _prediction(read_answer(response))
        held = "wait" in response.headers.get("preference-applied", "").lower()
        return PollResult(prediction=prediction, held=held, elapsed_seconds=self.timing.monotonic() - started)

    def events(self, id: str, *, after: int = 0, silence_seconds: float = SILENCE_SECONDS) -> Iterator[Json | None]:
        """Follow the log of a prediction; yields None when something arrives that is not an event, so that the caller
        can check its time limits.

        It ends when the server ends the stream, which may be before the prediction ends.

        Raises:
            NoEventLog: the server has no log, or refuses access to it.
            Unreachable: the connection could not be made, or broke, or was silent for too long.
        """
        url = f"{self.target.api}/predictions/{segment(id)}/events"
        missing = f"{self.target.root} does not offer an event log of predictions."
        for data in self.listen(url, last_id=str(after), missing=missing, silence_seconds=silence_seconds):
            yield None if data is None else _event(data, "seq", "data")

    def webhook_messages(self, query: Mapping[str, str], *, after: str = "") -> Iterator[Json | None]:
        """Follow the webhook messages of the account; see `events`.

        Raises:
            NoEventLog: the server has no such route, or refuses access to it.
            Unreachable: the connection could not be made, or broke, or was silent for too long.
        """
        url = str(httpx2.URL(f"{self.target.api}/webhooks/listen", params=dict(query)))
        missing = (
            f"{self.target.root} does not allow listening to webhooks: it is not a Halley server, or the key is wrong."
        )
        for data in self.listen(url, last_id=after, missing=missing, silence_seconds=SILENCE_SECONDS):
            yield None if data is None else _event(data, "position", "headers")

    def create(self, ref: ModelRef, input: Json, *, idempotency_key: str, cancel_after: str | None = None) -> Json:
        """Create a prediction, without waiting for it.

        For a model that the server runs by version only (404 on its own path), its latest version is used.
        """
        headers = {"idempotency-key": idempotency_key} | ({"cancel-after": cancel_after} if cancel_after else {})
        if ref.model and not ref.version:
            try:
                path = f"/models/{segment(ref.owner or '')}/{segment(ref.name or '')}/predictions"
                return _prediction(read_answer(self.send("POST", path, json={"input": input}, headers=headers)))
            except ServerRefused as refused:
                version = (
                    ((self.model(ref) or {}).get("latest_version") or {}).get("id") if refused.status == 404 else None
                )
                if not version:
                    raise
                ref = ModelRef(version=version)
        body = {"version": ref.version, "input": input}
        return _prediction(read_answer(self.send("POST", "/predictions", json=body, headers=headers)))

    def cancel(self, id: str) -> Json:
        """Cancel a prediction; one that has ended is unchanged."""
        return _prediction(read_answer(self.send("POST", f"/predictions/{segment(id)}/cancel")))

    def predictions(self, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Iterate over the predictions, newest first, page by page. `query`: the filters of a Halley server."""
        return self.pages("/predictions" if not query else f"/predictions?{urlencode(query)}")

    def require_filters(self, what: str) -> None:
        """Check that lists can be filtered by what their items do not show: only Halley servers do that.

        Raises:
            ServerRefused: this is another server; it would send everything.
        """
        try:
            self.call("GET", "/predictions/summary")
        except ServerRefused as refused:
            if refused.status != 404:
                raise
            hint = "--status, --model, --error and --since are compared here, so they work with any server."
            raise ServerRefused(404, f"{self.target.root} has no filter for {what}.", hint=hint) from refused

    def models(self) -> Iterator[Json]:
        """Iterate over the models, page by page."""
        return self.pages("/models")

    def model(self, ref: ModelRef) -> Json | None:
        """Read a model; None if the server has none of this name, or no such route."""
        path = f"/models/{segment(ref.owner or '')}/{segment(ref.name or '')}"
        try:
            found = read_answer(self.send("GET", path))
        except ServerRefused as refused:
            if refused.status in {404, 405, 501}:
                return None
            raise
        except Unreachable:
            return None  # gateways answer unknown paths with pages; running the model may still work
        return found if isinstance(found, dict) else None

    def version(self, ref: ModelRef) -> Json | None:
        """Read a version of a model; None if there is none."""
        path = f"/models/{segment(ref.owner or '')}/{segment(ref.name or '')}/versions/{segment(ref.version or '')}"
        try:
            found = read_answer(self.send("GET", path))
        except (ServerRefused, Unreachable):
            return None
        return found if isinstance(found, dict) else None

    def replica_log(self, ref: ModelRef, *, after: int = 0) -> list[Json]:
        """Read what a model's processes printed outside of predictions: an extension of Halley, for admin keys."""
        path = f"/replicas/{segment(ref.owner or '')}/{segment(ref.name or '')}/logs"
        lines = list(self.pages(f"{path}?after={after}"))
        return [line for line in lines if str(line.get("version", "")).startswith(ref.version or "")]

    def clear_setup(self, ref: ModelRef) -> int | None:
        """Delete what a model's setup left on the server: an extension of Halley, for admin keys. Returns its size in
        bytes.
        """
        path = f"/replicas/{segment(ref.owner or '')}/{segment(ref.name or '')}/setup"
        answer = self.call("DELETE", path)
        return answer.get("cleared_bytes") if isinstance(answer, dict) else None

    def upload(self, path: Path) -> str:
        """Upload a file and return its URL; see `upload_file`."""
        return str(self.upload_file(path)["urls"]["get"])

    def upload_file(self, path: Path, *, on_sent: Callable[[int], None] | None = None) -> Json:
        """Upload a file and return the server's record of it. `on_sent` is called with the number of bytes sent so far.

        Raises:
            ServerRefused: the server accepts no files (404, 405, 501), or not this one.
        """
        with path.open("rb") as file:
            content = file if on_sent is None else Counted(file, on_sent)
            answer = read_answer(self.send("POST", "/files", files={"content": (path.name, content)}))
        url = ((answer or {}).get("urls") or {}).get("get") if isinstance(answer, dict) else None
        if not isinstance(url, str):
            raise Unreachable(f"{self.target.api}/files accepted {path.name} but returned no URL for it.")
        return dict(answer)

    def call(self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Make any other call of the API and give its decoded answer."""
        return read_answer(self.send(method, path, json=json, headers=dict(headers or {})))

    def pages(self, path: str) -> Iterator[Json]:
        """Iterate over a list. `next` is followed only on this server, because the token is sent with it."""
        url: str | None = path
        while url:
            page = read_answer(self.send("GET", url))
            results = page.get("results") if isinstance(page, dict) else None
            if not isinstance(results, list):
                raise Unreachable(f"{self.target.api}{path} answered something that is not a list.")
            yield from (item for item in results if isinstance(item, dict))
            url = _next_url(page.get("next"), self.target)


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


def segment(text: str) -> str:
    """The text as one segment of a path."""
    # "." and ".." would be removed from the path by the HTTP client
    return quote(text, safe="") if text.strip(".") else quote(text, safe="").replace(".", "%2E")


def _next_url(following: Any, target: ServerTarget) -> str | None:
    # "null" as text: an error in Replicate's documentation
    if not isinstance(following, str) or following in {"", "null"}:
        return None
    if following.startswith("/"):
        parts = httpx2.URL(target.root)
        return f"{parts.scheme}://{parts.netloc.decode('ascii')}{following}"
    if same_origin(following, target.root):
        return following
    # A server behind a proxy may use another host name for itself; the token must not go there. Keep the query, not the
    # host.
    query = httpx2.URL(following).query.decode("ascii")
    _, api = normalise(target.root)
    path = re.sub(r"^.*?/v1(?=/)", "", httpx2.URL(following).path)
    return f"{api}{path}?{query}" if query else None
