"""Following a prediction as server-sent events: what is recorded, then what comes, each event with its id.

What the events are called and what they say is the business of a `Voice`. Here is what every stream needs: a
position to go on from, one write for all events of a turn, little memory for each reader, comments in silence, an
honest end.

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
PORTION_BYTES: Final = 64 * 2**10  # of events read at once, and of one write: a slow reader holds about two of them
_HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class EventFormatter(Protocol):
    """How events are told. It links files for its caller, so it is made for each request."""

    @property
    def key(self) -> Hashable:
        """Voices with the same key tell the same about a prediction, with links of the same age."""
        ...

    def frames(self, row: Prediction, event: Event) -> Sequence[bytes]:
        """The frames of one event; none if it is not told."""
        ...

    def ending(self, row: Prediction, after: int) -> bytes:
        """What a client of a finished prediction is told that had the end already, with this as its last event."""
        ...


class Position(NamedTuple):
    """How far a client is: the last event that it has whole, and how many frames of the next one."""

    after: int = 0
    skip: int = 0


def frame(name: str, event_id: str, data: str) -> bytes:
    """One event as bytes. A line break of any kind in the data begins a new `data:` line; lines end in LF alone."""
    if "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in data:
        data = data.replace("\n", "\ndata: ")
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode()


def stream_answer(
    call: Call,
    parts: ApiContext,
    row: Prediction,
    voice: EventFormatter,
    position: Position,
    *,
    carrier: Carrier | None,
    stays: bool = True,
    is_shared: bool = False,
) -> Response:
    """The answer that follows a prediction, of which only the outline is kept, from this position on.

    It ends when the `carrier` does not carry it any more.

    `stays`: it waits for what comes; else it ends with what is recorded. `is_shared`: any web page may read it.
    """
    chunks = _follow(call.scope, parts, row, voice, position, carrier, stays)
    return open_stream(call, chunks, is_shared=is_shared)


def open_stream(call: Call, chunks: AsyncGenerator[bytes, None], *, is_shared: bool = False) -> Response:
    """An answer of events that come one by one."""
    begin_stream = call.scope.get(STREAM_KEY)
    if begin_stream is not None and call.method != "HEAD":
        begin_stream()
    headers = [*_HEADERS, (b"access-control-allow-origin", b"*")] if is_shared else _HEADERS
    return Response(headers=headers, chunks=chunks)


def wants_stream(accept: str) -> bool:
    """Whether a caller would rather have events than JSON; the order of its words decides."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    known = (kind for kind in kinds if kind in ("text/event-stream", "application/json"))
    return next(known, "") == "text/event-stream"


async def _follow(
    scope: Scope,
    parts: ApiContext,
    row: Prediction,
    voice: EventFormatter,
    position: Position,
    carrier: Carrier | None,
    stays: bool,
) -> AsyncGenerator[bytes, None]:
    opening, began_after = HELLO, position.after
    with parts.hub.enter(row.id, scope) as hold:  # before reading: no event is missed
        hold.lean(carrier)
        if stays:
            hold.attend(row)
        monotonic = parts.clock.monotonic
        silent_until = monotonic() + KEEP_ALIVE_SECONDS
        while True:
            batch = await _batch(parts, row, voice, position)
            position = Position(batch.after)
            for piece in _pieces(opening, batch.body):
                yield piece
                silent_until = monotonic() + KEEP_ALIVE_SECONDS
            opening = b""
            if batch.is_last or hold.is_over:
                return
            if batch.has_more:
                await asyncio.sleep(0)  # a long log must not keep everybody else waiting
                continue
            if row.is_terminal or not stays:
                if row.is_terminal and not await _is_removed(parts, row):
                    yield voice.ending(row, began_after)
                return
            is_changed = await hold.changed(silent_until - monotonic())
            if is_changed is None:  # the client or its key is gone, or the server stops; it may come back with its id
                return
            if not is_changed or monotonic() >= silent_until:  # changes may have nothing to tell to this reader
                opening = KEEP_ALIVE
            if not is_changed:
                parts.batches.forget(row.id)  # a hint may have been lost
                now = await parts.predictions.outline(row.id)
                if now is None or now.data_removed_at is not None:
                    return
                row = now


async def _batch(parts: ApiContext, row: Prediction, voice: EventFormatter, position: Position) -> Batch:
    """What is recorded behind this position, as far as one portion goes. Whoever comes first encodes it for all."""
    # what was read before the end is no answer to who knows of the end: it would be told that nothing is left
    key = ((voice.key, row.data_removed_at is None, row.is_terminal), position.after)
    batch = parts.batches.get(row.id, key) if position.skip == 0 else None
    if batch is None:
        turn = parts.batches.turn(row.id)
        events = await parts.predictions.events(row, position.after, EVENTS_AT_ONCE, PORTION_BYTES)
        batch = _encoded(row, voice, position, events)
        if position.skip == 0:
            parts.batches.put(row.id, key, batch, turn)
    return batch


def _encoded(row: Prediction, voice: EventFormatter, position: Position, events: Sequence[Event]) -> Batch:
    frames: list[bytes] = []
    after = position.after
    is_last = False
    for event in events:
        if event.seq != after + 1 and row.data_removed_at is None:
            is_last = True  # removed under our eyes: an end without `done`, whoever comes back is told why
            break
        frames += voice.frames(row, event)
        after = event.seq
        if event.kind is EventKind.FINISHED:
            is_last = True
            break
    size = sum(len(event.data) for event in events)
    has_more = not is_last and (len(events) == EVENTS_AT_ONCE or size >= PORTION_BYTES)
    return Batch(b"".join(frames[position.skip :]), after, has_more=has_more, is_last=is_last)


def _pieces(opening: bytes, body: bytes) -> Iterator[bytes]:
    """One write; of something large several, so that little of it waits in the memory of each slow connection."""
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
