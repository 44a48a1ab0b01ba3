"""The event stream at `urls.stream`, exactly as the official clients expect it.

Each frame has an id and one of four names, because one client drops events before the first id and raises on other
names. Source: contract sections 0.8 and 12.
"""

import re
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Final, assert_never

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, read_token
from halley.api.presentation.present import encode, with_links_in_text
from halley.api.waiting.hold import Carrier
from halley.api.waiting.streams import Position, frame, stream_answer
from halley.errors import NotAuthenticated, NotFound
from halley.keys.records import Scope
from halley.predictions.records import Event, Finish, OutputItem, Prediction
from halley.predictions.status import WITH_ERROR, EventKind, Status
from halley.strict_json import is_heavy

_EVENT_ID: Final = re.compile(r"(\d{1,12}):(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_QUOTE: Final = ord('"')
_decode_output: Final = msgspec.json.Decoder(OutputItem).decode
_decode_finish: Final = msgspec.json.Decoder(Finish).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def _done(status: Status) -> str:
    match status:
        case Status.SUCCEEDED:
            return "{}"
        case Status.FAILED:
            return '{"reason":"error"}'
        case Status.CANCELED | Status.ABORTED:
            return '{"reason":"canceled"}'
        case Status.STARTING | Status.PROCESSING:
            raise AssertionError(f"a prediction does not end as {status}")
        case _:
            assert_never(status)


async def stream(call: Call, parts: ApiContext) -> Response:
    """Row 38: replay, follow, `done`. `Last-Event-ID` continues after that event; `logs=1` adds the logs."""
    prediction_id = parts.links.verify_stream(call.params[0])
    row = await parts.predictions.outline(prediction_id)
    if row is None or row.data_removed_at is not None:
        raise NotFound("The data of this stream does not exist, or not any more.")
    formatter = ContractEventFormatter(call, parts, row, with_logs=call.query().get("logs", "") in ("1", "true"))
    position = await _position(call.header(b"last-event-id"), parts, row, formatter)
    carrier = await _carrier(call, parts, row)
    return stream_answer(call, parts, row, formatter, position, carrier=carrier, is_shared=True)


async def _carrier(call: Call, parts: ApiContext, row: Prediction) -> Carrier | None:
    """The key that the stream depends on: that of the request if it is of this account, otherwise the prediction's.

    Raises:
        NotFound: the key that made the prediction is invalid, and the link with it.
    """
    if b"authorization" in call.headers:
        with suppress(NotAuthenticated):  # the link itself grants access: a key is not needed
            identity = await parts.keys.verify(read_token(call.headers[b"authorization"]))
            if identity.account.id == row.account_id and identity.may(Scope.READ):
                return identity.key.id, Scope.READ
    if row.key_id is None:
        return None
    scopes = (await parts.keys.valid_scopes([row.key_id])).get(row.key_id, frozenset())
    if scopes.isdisjoint({Scope.WRITE, Scope.ADMIN}):
        raise NotFound("The data of this stream does not exist, or not any more.")
    return row.key_id, Scope.WRITE


class ContractEventFormatter:
    """Sends outputs and the end, and the logs if requested."""

    __slots__ = ("_presenter", "_variant", "_with_logs", "key")

    def __init__(self, call: Call, parts: ApiContext, row: Prediction, *, with_logs: bool) -> None:
        self._presenter = parts.presenter
        self._variant = call.variant
        self._with_logs = with_logs
        self.key: Hashable = ("stream", call.variant.number, with_logs, parts.presenter.links_end_at(row))

    def frames(self, row: Prediction, event: Event) -> list[bytes]:
        if event.kind is EventKind.OUTPUT_ADDED and (text := _plain_text(event.data)):  # as below, in fewer steps
            return [frame("output", f"{int(event.at.timestamp())}:{event.seq}", text)]
        shown = self._shown(row, event)
        seconds = int(event.at.timestamp())
        last = len(shown) - 1
        # the last frame has the plain number: a client that has it has the whole event
        return [
            frame(name, f"{seconds}:{event.seq}" if index == last else f"{seconds}:{event.seq}.{index}", data)
            for index, (name, data) in enumerate(shown)
        ]

    def ending(self, row: Prediction, after: int) -> bytes:
        """The end once more: without it, a client that reconnects automatically would wait forever."""
        at = row.completed_at or row.created_at
        return frame("done", f"{int(at.timestamp())}:{after}", _done(row.status))

    def _shown(self, row: Prediction, event: Event) -> list[tuple[str, str]]:
        kind = event.kind
        if kind is EventKind.OUTPUT_ADDED or kind is EventKind.OUTPUT_SET:
            # one client drops empty events, the end included
            return [("output", text) for text in self._output(row, _decode_output(event.data)) if text]
        if kind is EventKind.LOGGED or kind is EventKind.ATTEMPT_LOST:
            text = _decode_text(event.data) if self._with_logs else ""
            return [("logs", text)] if text else []
        if kind is EventKind.FINISHED:
            finish = _decode_finish(event.data)
            done = ("done", _done(finish.status))
            if finish.status not in WITH_ERROR:
                return [done]
            return [("error", encode({"detail": finish.error or "The prediction failed."}).decode()), done]
        return []

    def _output(self, row: Prediction, item: OutputItem) -> list[str]:
        text = bytes(item.value)
        if text[:1] != b'"' and is_heavy(text):
            links = self._presenter.file_links(row, item.files, self._variant)
            return [with_links_in_text(text, links).decode()]
        value: Any = msgspec.json.decode(text)
        if value == []:
            return []  # an iterator without items: clients join what they get, and would show brackets
        if item.files:
            links = self._presenter.file_links(row, item.files, self._variant)
            if isinstance(value, list) and all(isinstance(one, str) and one in links for one in value):
                return [links[one] for one in value]  # clients of file streams fetch each datum
            value = self._presenter.with_links(value, links)
        return [value if isinstance(value, str) else encode(value).decode()]


def _plain_text(data: bytes) -> str:
    """The text of an output item that is text without files; otherwise empty."""
    item = _decode_output(data)
    value = memoryview(item.value)
    return _decode_text(value) if value[0] == _QUOTE and not item.files else ""


async def _position(
    last_event_id: str | None, parts: ApiContext, row: Prediction, formatter: ContractEventFormatter
) -> Position:
    """How far the client has read; from the start if it does not say, or gives an id that this stream never had."""
    match = _EVENT_ID.fullmatch((last_event_id or "").strip())
    if match is None:
        return Position()
    seconds, seq, index = int(match[1]), int(match[2]), match[3]
    known = await parts.predictions.events(row, seq - 1, 1) if seq else []
    if not known or int(known[0].at.timestamp()) != seconds:
        return Position()  # of another stream: continuing after it would leave an unnoticed gap
    if index is None or int(index) + 1 >= len(formatter.frames(row, known[0])):
        return Position(seq)
    return Position(seq - 1, int(index) + 1)
