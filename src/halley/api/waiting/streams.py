"""Streams a prediction as server-sent events: recorded events, then new ones, each with its id.

An `EventFormatter` decides how events are named and what they contain. This module does what every stream needs: a
position to continue from, one write for all events of a cycle, little memory for each reader, comments during silence,
and an end that shows whether the prediction has ended.

Source: contract section 12; the HTML standard on server-sent events.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Headers, Response, Scope
from halley.api.http.batches import Batch, BatchKey
from halley.api.waiting.hold import STREAM_KEY, Carrier, Hold
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


Write = Callable[[bytes], bool]
"""Writes a piece of the answer at once; False if it cannot."""


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
    follower = _Follower(parts, row, formatter, position)
    follower.write = begin_stream(call)
    return open_stream(follower.chunks(call.scope, carrier, stays=stays), is_shared=is_shared)


def begin_stream(call: Call) -> Write | None:
    """Tell the connection that a stream begins; returns what writes a piece at once, if anything does."""
    begin: Callable[[], Write | None] | None = call.scope.get(STREAM_KEY)
    return None if begin is None or call.method == "HEAD" else begin()


def open_stream(chunks: AsyncGenerator[bytes, None], *, is_shared: bool = False) -> Response:
    """A response of events that are sent one by one."""
    headers = [*_HEADERS, (b"access-control-allow-origin", b"*")] if is_shared else _HEADERS
    return Response(headers=headers, chunks=chunks)


def wants_stream(accept: str) -> bool:
    """Whether a caller prefers events to JSON; the order of media types decides."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    known = (kind for kind in kinds if kind in ("text/event-stream", "application/json"))
    return next(known, "") == "text/event-stream"


class _Follower:
    """One reader of a stream."""

    __slots__ = (
        "_after",
        "_formatter",
        "_has_taken",
        "_kind",
        "_monotonic",
        "_parts",
        "_row",
        "_silent_until",
        "_skip",
        "write",
    )

    def __init__(self, parts: ApiContext, row: Prediction, formatter: EventFormatter, position: Position) -> None:
        self._parts = parts
        self._formatter = formatter
        self._after, self._skip = position
        self._know(row)
        self._monotonic = parts.clock.monotonic
        self._silent_until = 0.0
        self._has_taken = False  # since it began to wait
        self.write: Write | None = None

    async def chunks(self, scope: Scope, carrier: Carrier | None, *, stays: bool) -> AsyncGenerator[bytes, None]:
        """What is sent, piece by piece. Between two pieces `take` may send more."""
        parts, opening, began_after = self._parts, HELLO, self._after
        with parts.hub.enter(self._row.id, scope) as hold:  # before reading: no event is missed
            hold.end_with_key(carrier)
            if stays:
                hold.count_client(self._row)
            if self.write is not None:
                hold.take = self.take
            self._was_heard()
            while True:
                batch = await self._batch(hold)
                for piece in _pieces(opening, batch.body):
                    yield piece
                    self._was_heard()
                opening = b""
                if batch.is_last or hold.is_over:
                    return
                if batch.has_more:
                    await asyncio.sleep(0)  # a long log must not delay other tasks
                    continue
                if self._row.is_terminal or not stays:
                    if self._row.is_terminal and not await _is_removed(parts, self._row):
                        yield self._formatter.ending(self._row, began_after)
                    return
                self._has_taken = False
                is_changed = await hold.changed(self._silent_until - self._monotonic())
                # the client has disconnected, its key is invalid, or the server stops; it may reconnect with its id
                if is_changed is None:
                    return
                is_silent = not is_changed and not self._has_taken
                if is_silent or self._monotonic() >= self._silent_until:  # changes may have no event for this reader
                    opening = KEEP_ALIVE
                if is_silent:
                    parts.batches.forget(self._row.id)  # a hint may have been lost
                    now = await parts.predictions.outline(self._row.id)
                    if now is None or now.data_removed_at is not None:
                        return
                    self._know(now)

    def take(self, key: BatchKey, batch: Batch) -> bool:
        """See `hold.Take`. Only while `chunks` waits for a change: nothing is half sent."""
        if (
            key[1] != self._after
            or key[0] != self._kind
            or batch.is_last
            or batch.has_more
            or len(batch.body) > PORTION_BYTES
        ):
            return False
        if batch.body:
            if self.write is None or not self.write(batch.body):
                return False
            self._was_heard()
            self._has_taken = True
        self._after = batch.after
        return True

    def _was_heard(self) -> None:
        self._silent_until = self._monotonic() + KEEP_ALIVE_SECONDS

    def _know(self, row: Prediction) -> None:
        self._row = row
        # a batch read before the end must not be used by a reader that knows of the end: it would see no events left
        self._kind: Hashable = (self._formatter.key, row.data_removed_at is None, row.is_terminal)

    async def _batch(self, hold: Hold) -> Batch:
        """The recorded events after this position, up to one portion. The first reader encodes it for all."""
        parts, row, key, is_shared = self._parts, self._row, (self._kind, self._after), self._skip == 0
        batch = parts.batches.get(row.id, key) if is_shared else None
        if batch is None:
            turn = parts.batches.turn(row.id)
            events = await parts.predictions.events(row, self._after, EVENTS_AT_ONCE, PORTION_BYTES)
            batch = _encoded(row, self._formatter, Position(self._after, self._skip), events)
            if is_shared:
                parts.batches.put(row.id, key, batch, turn)
        self._after, self._skip = batch.after, 0
        hold.group.hand_on(hold, key, batch)
        return batch


def _encoded(row: Prediction, formatter: EventFormatter, position: Position, events: Sequence[Event]) -> Batch:
    frames: list[bytes] = []
    after, size, is_last = position.after, 0, False
    for event in events:
        size += len(event.data)
        if event.seq != after + 1 and row.data_removed_at is None:
            is_last = True  # removed during the stream: an end without `done`; a client that reconnects gets the reason
            break
        frames += formatter.frames(row, event)
        after = event.seq
        if event.kind is EventKind.FINISHED:
            is_last = True
            break
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
