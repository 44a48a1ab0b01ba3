"""Streams a prediction as server-sent events: recorded events, then new ones, each with its id.

An `EventFormatter` decides how events are named and what they contain. This module does what every stream needs: a
position to continue from, one write for all events of a cycle, little memory for each reader, comments during silence,
and an end that shows whether the prediction has ended.

Source: contract section 12; the HTML standard on server-sent events.
"""

import asyncio
from collections.abc import AsyncGenerator, Hashable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Headers, Response, Scope
from halley.api.http.batches import Batch
from halley.api.waiting.hold import STREAM_KEY, Carrier
from halley.predictions.records import Event, Prediction
from halley.predictions.status import EventKind

KEEP_ALIVE_SECONDS: Final = 15.0  # one client gives up after 30 s of silence
HELLO: Final = b": hi\n\n"
KEEP_ALIVE: Final = b": still here\n\n"
EVENTS_AT_ONCE: Final = 1000
# of events read at once, and of one write: a slow reader keeps about two of them in memory
PORTION_BYTES: Final = 64 * 2**10
_HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class EventFormatter(Protocol):
    """Formats events. It makes links for its caller, so there is one for each request."""

    @property
    def key(self) -> Hashable:
        """Formatters with the same key produce the same bytes for a prediction, with links of the same age."""
        ...

    def frames(self, row: Prediction, event: Event) -> Sequence[bytes]:
        """The frames of one event; none if it is not sent."""
        ...

    def ending(self, row: Prediction, after: int) -> bytes:
        """What is sent to a client that reconnects after the end, with this as its last event."""
        ...


class Position(NamedTuple):
    """How far a client has read: the last complete event, and how many frames of the next one."""

    after: int = 0
    skip: int = 0


def frame(name: str, event_id: str, data: str) -> bytes:
    """One event as bytes. A line break of any kind in the data begins a new `data:` line; lines end in LF."""
    if "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in data:
        data = data.replace("\n", "\ndata: ")
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode()


def stream_answer(
    call: Call,
    parts: ApiContext,
    row: Prediction,
    formatter: EventFormatter,
    position: Position,
    *,
    carrier: Carrier | None,
    stays: bool = True,
    is_shared: bool = False,
) -> Response:
    """The response that streams a prediction from this position; only an outline of its row is kept.

    It ends when the `carrier` key becomes invalid.

    `stays`: it waits for new events; otherwise it ends after the recorded ones. `is_shared`: any web page may read it.
    """
    chunks = _follow(call.scope, parts, row, formatter, position, carrier, stays)
    return open_stream(call, chunks, is_shared=is_shared)


def open_stream(call: Call, chunks: AsyncGenerator[bytes, None], *, is_shared: bool = False) -> Response:
    """A response of events that are sent one by one."""
    begin_stream = call.scope.get(STREAM_KEY)
    if begin_stream is not None and call.method != "HEAD":
        begin_stream()
    headers = [*_HEADERS, (b"access-control-allow-origin", b"*")] if is_shared else _HEADERS
    return Response(headers=headers, chunks=chunks)


def wants_stream(accept: str) -> bool:
    """Whether a caller prefers events to JSON; the order of media types decides."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    known = (kind for kind in kinds if kind in ("text/event-stream", "application/json"))
    return next(known, "") == "text/event-stream"


async def _follow(
    scope: Scope,
    parts: ApiContext,
    row: Prediction,
    formatter: EventFormatter,
    position: Position,
    carrier: Carrier | None,
    stays: bool,
) -> AsyncGenerator[bytes, None]:
    opening, began_after = HELLO, position.after
    with parts.hub.enter(row.id, scope) as hold:  # before reading: no event is missed
        hold.end_with_key(carrier)
        if stays:
            hold.count_client(row)
        monotonic = parts.clock.monotonic
        silent_until = monotonic() + KEEP_ALIVE_SECONDS
        while True:
            batch = await _batch(parts, row, formatter, position)
            position = Position(batch.after)
            for piece in _pieces(opening, batch.body):
                yield piece
                silent_until = monotonic() + KEEP_ALIVE_SECONDS
            opening = b""
            if batch.is_last or hold.is_over:
                return
            if batch.has_more:
                await asyncio.sleep(0)  # a long log must not delay other tasks
                continue
            if row.is_terminal or not stays:
                if row.is_terminal and not await _is_removed(parts, row):
                    yield formatter.ending(row, began_after)
                return
            is_changed = await hold.changed(silent_until - monotonic())
            # the client has disconnected, its key is invalid, or the server stops; it may reconnect with its id
            if is_changed is None:
                return
            if not is_changed or monotonic() >= silent_until:  # changes may have no event for this reader
                opening = KEEP_ALIVE
            if not is_changed:
                parts.batches.forget(row.id)  # a hint may have been lost
                now = await parts.predictions.outline(row.id)
                if now is None or now.data_removed_at is not None:
                    return
                row = now


async def _batch(parts: ApiContext, row: Prediction, formatter: EventFormatter, position: Position) -> Batch:
    """The recorded events after this position, up to one portion. The first reader encodes it for all."""
    # a batch read before the end must not be used by a reader that knows of the end: it would see no events left
    key = ((formatter.key, row.data_removed_at is None, row.is_terminal), position.after)
    batch = parts.batches.get(row.id, key) if position.skip == 0 else None
    if batch is None:
        turn = parts.batches.turn(row.id)
        events = await parts.predictions.events(row, position.after, EVENTS_AT_ONCE, PORTION_BYTES)
        batch = _encoded(row, formatter, position, events)
        if position.skip == 0:
            parts.batches.put(row.id, key, batch, turn)
    return batch


def _encoded(row: Prediction, formatter: EventFormatter, position: Position, events: Sequence[Event]) -> Batch:
    frames: list[bytes] = []
    after = position.after
    is_last = False
    for event in events:
        if event.seq != after + 1 and row.data_removed_at is None:
            is_last = True  # removed during the stream: an end without `done`; a client that reconnects gets the reason
            break
        frames += formatter.frames(row, event)
        after = event.seq
        if event.kind is EventKind.FINISHED:
            is_last = True
            break
    size = sum(len(event.data) for event in events)
    has_more = not is_last and (len(events) == EVENTS_AT_ONCE or size >= PORTION_BYTES)
    return Batch(b"".join(frames[position.skip :]), after, has_more=has_more, is_last=is_last)


def _pieces(opening: bytes, body: bytes) -> Iterator[bytes]:
    """One write; for large data several, so that each slow connection keeps little of it in memory."""
    if len(body) <= 2 * PORTION_BYTES:
        if opening or body:
            yield opening + body
        return
    if opening:
        yield opening
    view = memoryview(body)
    for start in range(0, len(body), PORTION_BYTES):
        yield bytes(view[start : start + PORTION_BYTES])


async def _is_removed(parts: ApiContext, row: Prediction) -> bool:
    now = await parts.predictions.outline(row.id)
    return now is None or (now.data_removed_at is not None and row.data_removed_at is None)
