"""The whole event log of a prediction, as pages of JSON and as a stream. An extension of the contract."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import read_whole_number
from halley.api.presentation.present import Presenter, encode
from halley.api.presentation.problems import invalid
from halley.api.presentation.statuses import OFFICIAL
from halley.api.presentation.wire.events import (
    EventBody,
    EventName,
    EventPage,
    LinkedData,
    OutputData,
    RepeatedData,
    StatusData,
    TextData,
)
from halley.api.resources.predictions import path_id
from halley.api.waiting.streams import Position, frame, stream_answer, wants_stream
from halley.clock import rfc3339
from halley.errors import NotFound
from halley.keys.records import Scope
from halley.predictions.records import Event, Finish, OutputItem, Prediction, StartedAt
from halley.predictions.repeats import How
from halley.predictions.settlements import Link
from halley.predictions.status import EventKind

PAGE: Final = 100
MOST: Final = 1000
HISTORY: Final = "history"
PAGE_BYTES: Final = 2**20  # of event data: a page of large outputs has fewer items

NAMES: Final[Mapping[EventKind, EventName]] = {
    EventKind.CREATED: "status",
    EventKind.STARTED: "status",
    EventKind.LOGGED: "logs",
    EventKind.OUTPUT_ADDED: "output",
    EventKind.OUTPUT_SET: "output",
    EventKind.OUTPUT_NOT_KEPT: "output_not_kept",
    EventKind.METRIC_RECORDED: "metric",
    EventKind.PROGRESSED: "progress",
    EventKind.ATTEMPT_LOST: "attempt_lost",
    EventKind.CANCEL_REQUESTED: "cancel_requested",
    EventKind.FINISHED: "status",
    EventKind.DATA_REMOVED: "data_removed",
    EventKind.REPEATED: "repeated",
    EventKind.LINKED: "linked",
}
_decode_output: Final = msgspec.json.Decoder(OutputItem).decode
_decode_place: Final = msgspec.json.Decoder(StartedAt | None).decode
_decode_how: Final = msgspec.json.Decoder(How).decode
_decode_link: Final = msgspec.json.Decoder(Link).decode
_decode_finish: Final = msgspec.json.Decoder(Finish).decode


async def events(call: Call, parts: ApiContext) -> Response:
    """Pages of JSON; with `Accept: text/event-stream` a stream of events."""
    prediction_id = path_id(call.params[0], "prediction")
    row = await parts.predictions.outline(prediction_id, call.account_id)
    if row is None:
        raise NotFound(f"There is no prediction {prediction_id}")
    query = call.query()
    after = read_whole_number(query, "after", 0)
    if wants_stream(call.joined(b"accept")):
        return await _stream(call, parts, row, after, stays=query.get("follow", "1") not in ("0", "false"))
    return await _page(call, parts, row, query, after)


async def _stream(call: Call, parts: ApiContext, row: Prediction, after: int, *, stays: bool) -> Response:
    sent = (call.header(b"last-event-id") or "").strip()
    if sent.isascii() and sent.isdigit() and len(sent) < 13:
        after = int(sent)
    if after and not await parts.predictions.events(row, after - 1, 1):
        after = 0  # not of this prediction: continuing after it would leave an unnoticed gap
    if row.is_terminal and not await parts.predictions.events(row, after, 1):
        return Response(status=204)  # a client that reconnects automatically stops at this
    carrier = call.identity.key.id, Scope.READ
    return stream_answer(
        call, parts, row, FullEventFormatter(call, parts, row), Position(after), carrier=carrier, stays=stays
    )


async def _page(call: Call, parts: ApiContext, row: Prediction, query: Mapping[str, str], after: int) -> Response:
    limit = min(MOST, max(1, read_whole_number(query, "limit", PAGE)))
    read = _reader(parts, row, query)
    found = await read(after, limit)
    following = None
    if found and await read(found[-1].seq, 1):
        members = {**query, "after": found[-1].seq}
        following = f"{call.variant.base}/predictions/{row.id}/events?{urlencode(members)}"
    formatter = FullEventFormatter(call, parts, row)
    page = EventPage(next=following, previous=None, results=[formatter.body_of(row, event) for event in found])
    return json_response(encode(page))


def _reader(
    parts: ApiContext, row: Prediction, query: Mapping[str, str]
) -> Callable[[int, int], Awaitable[list[Event]]]:
    """Reads events after a number, at most so many."""
    only = query.get("only")
    if only == HISTORY:
        return partial(parts.predictions.history, row)
    if only:
        raise invalid("enum", "only", f"the only supported value is {HISTORY}")
    return partial(parts.predictions.events, row, limit_bytes=PAGE_BYTES)


class FullEventFormatter:
    """Sends all events, with descriptive names."""

    __slots__ = ("_presenter", "_variant", "key")

    def __init__(self, call: Call, parts: ApiContext, row: Prediction) -> None:
        self._presenter: Presenter = parts.presenter
        self._variant = call.variant
        self.key: Hashable = ("events", call.variant.number, parts.presenter.links_end_at(row))

    def frames(self, row: Prediction, event: Event) -> list[bytes]:
        shown = self.body_of(row, event)
        return [frame(shown.event, str(event.seq), encode(shown).decode())]

    def ending(self, row: Prediction, after: int) -> bytes:  # noqa: ARG002
        """Nothing: the last status was sent, and shows the end."""
        return b""

    def body_of(self, row: Prediction, event: Event) -> EventBody:
        """The wire form of the event."""
        return EventBody(
            seq=event.seq,
            event=NAMES[event.kind],
            attempt=event.attempt,
            at=rfc3339(event.at),
            data=self._data(row, event),
        )

    def _data(self, row: Prediction, event: Event) -> Any:
        match event.kind:
            case EventKind.CREATED:
                return StatusData(status="starting")
            case EventKind.STARTED:
                return _start(event.data)
            case EventKind.FINISHED:
                return self._end(_decode_finish(event.data))
            case EventKind.OUTPUT_ADDED | EventKind.OUTPUT_SET:
                item = _decode_output(event.data)
                return OutputData(
                    value=self._presenter.item(row, item, self._variant),
                    is_item=event.kind is EventKind.OUTPUT_ADDED,
                    passed=item.passed,
                )
            case EventKind.LOGGED | EventKind.ATTEMPT_LOST:
                return TextData(text=msgspec.Raw(event.data))
            case EventKind.METRIC_RECORDED | EventKind.PROGRESSED | EventKind.OUTPUT_NOT_KEPT:
                return msgspec.Raw(event.data)
            case EventKind.REPEATED:
                return RepeatedData(how=_decode_how(event.data))
            case EventKind.LINKED:
                return _link(event.data)
            case EventKind.CANCEL_REQUESTED | EventKind.DATA_REMOVED:
                return {}

    def _end(self, finish: Finish) -> StatusData:
        status, error = finish.status, finish.error
        if not self._variant.expose_aborted and OFFICIAL[status] is not status:
            status, error = OFFICIAL[status], None  # as the prediction itself is shown
        return StatusData(
            status=status.value, error=error or msgspec.UNSET, termination_reason=finish.reason or msgspec.UNSET
        )


def _link(data: bytes) -> LinkedData:
    link = _decode_link(data)
    if link.is_first:
        return LinkedData(how=link.how, continued_by=link.prediction)
    return LinkedData(how=link.how, continues=link.prediction)


def _start(data: bytes) -> StatusData:
    place = _decode_place(data) if data else None
    if place is None:
        return StatusData(status="processing")
    return StatusData(status="processing", provider=place.provider, upstream_id=place.upstream_id)
