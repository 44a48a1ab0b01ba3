"""The event stream of a prediction: what is recorded, then what comes, to the byte as clients read it.

Each frame has an id and one of four names, because one client drops events before the first id and raises on other
names. Lines end in LF alone. Source: contract sections 0.8 and 12; the HTML standard on server-sent events.
"""

import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final

import msgspec

from halley.api.asgi import Answer, Call, Headers
from halley.api.holds import GONE_KEY
from halley.api.parts import Parts
from halley.api.present import encode
from halley.errors import NotFound
from halley.predictions.records import Event, Finish, OutputItem, Prediction
from halley.predictions.status import EventKind, Status

KEEP_ALIVE_SECONDS: Final = 15.0  # one client gives up after 30 s of silence
HELLO: Final = b": hi\n\n"
KEEP_ALIVE: Final = b": still here\n\n"
_AT_ONCE: Final = 1000
_HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
]
_EVENT_ID: Final = re.compile(r"\d{1,12}:(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_DONE: Final = {
    Status.SUCCEEDED: "{}",
    Status.FAILED: '{"reason":"error"}',
    Status.CANCELED: '{"reason":"canceled"}',
    Status.ABORTED: '{"reason":"canceled"}',
}
_decode_output: Final = msgspec.json.Decoder(OutputItem).decode
_decode_finish: Final = msgspec.json.Decoder(Finish).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


async def stream(call: Call, parts: Parts) -> Answer:
    """Row 38: replay, follow, `done`. `Last-Event-ID` goes on behind that event; `logs=1` adds the logs."""
    prediction_id = parts.links.verify_stream(call.params[0])
    row = await parts.predictions.find(prediction_id)
    if row is None or row.data_removed_at is not None:
        raise NotFound("The data of this stream does not exist, or not any more.")
    position = _position(call.header(b"last-event-id"))
    with_logs = call.query().get("logs", "") in ("1", "true")
    return Answer(headers=list(_HEADERS), chunks=_follow(call, parts, row, _Frames(parts, call, with_logs, position)))


async def _follow(call: Call, parts: Parts, row: Prediction, frames: "_Frames") -> AsyncGenerator[bytes, None]:
    waiting = HELLO
    with parts.predictions.watch(row.id) as watching:  # listen first, read afterwards: no event is missed
        while True:
            pieces = [waiting]
            while not frames.is_done:
                events = await parts.predictions.events(row.id, frames.after, _AT_ONCE)
                pieces += [frame for event in events for frame in frames.of(row, event)]
                if len(events) < _AT_ONCE:
                    break
            if row.is_terminal and not frames.is_done:
                pieces.append(frames.ending(row))
            if any(pieces):
                yield b"".join(pieces)  # all of one turn in one write
            if frames.is_done or GONE_KEY in call.scope:
                return
            woken = await parts.holds.wait(call.scope, watching.wait(KEEP_ALIVE_SECONDS))
            if woken is None:  # the client is gone, or the server stops; it may come back with the last id
                return
            waiting = b""
            if not woken:
                waiting = KEEP_ALIVE
                now = await parts.predictions.find(row.id)
                if now is None or now.data_removed_at is not None:
                    return
                row = now


class _Frames:
    """Makes frames of events, in order, and remembers how far it came."""

    def __init__(self, parts: Parts, call: Call, with_logs: bool, position: tuple[int, int]) -> None:
        self._presenter = parts.presenter
        self._variant = call.variant
        self._with_logs = with_logs
        self.after, self._skip = position  # the last event that is told whole; frames told of the next one
        self.is_done = False

    def of(self, row: Prediction, event: Event) -> Iterator[bytes]:
        """The frames of one event, without those that the client has."""
        told = list(self._told(row, event))
        skip, self._skip = self._skip, 0
        self.after = event.seq
        seconds = int(event.at.timestamp())
        for index, (name, data) in enumerate(told):
            # the last frame has the plain number: whoever has it has the whole event
            number = str(event.seq) if index == len(told) - 1 else f"{event.seq}.{index}"
            if index >= skip:
                yield frame(name, f"{seconds}:{number}", data)

    def ending(self, row: Prediction) -> bytes:
        """The end of a finished prediction once more, for a client that has told that it is behind the last event."""
        self.is_done = True
        at = row.completed_at or row.created_at
        return frame("done", f"{int(at.timestamp())}:{self.after}", _DONE[row.status])

    def _told(self, row: Prediction, event: Event) -> Iterator[tuple[str, str]]:
        if event.kind in (EventKind.OUTPUT_ADDED, EventKind.OUTPUT_SET):
            for text in self._output(row, _decode_output(event.data)):
                if text:  # one client drops empty events, the end included
                    yield "output", text
        elif event.kind in (EventKind.LOGGED, EventKind.ATTEMPT_LOST):
            if self._with_logs and (text := _decode_text(event.data)):
                yield "logs", text
        elif event.kind is EventKind.FINISHED:
            self.is_done = True
            finish = _decode_finish(event.data)
            if finish.status is Status.FAILED:
                yield "error", encode({"detail": finish.error or "The prediction failed."}).decode()
            yield "done", _DONE[finish.status]

    def _output(self, row: Prediction, item: OutputItem) -> list[str]:
        value: Any = msgspec.json.decode(item.value)
        if value == []:
            return []  # an iterator that gave nothing: readers join what they get, and would show brackets
        links = {file.ref: self._presenter.file_link(row, file, self._variant) for file in item.files}
        if links:
            if isinstance(value, list) and all(isinstance(one, str) and one in links for one in value):
                return [links[one] for one in value]  # readers of file streams fetch each datum
            value = self._presenter.with_links(value, links)
        return [value if isinstance(value, str) else encode(value).decode()]


def frame(name: str, event_id: str, data: str) -> bytes:
    """One event as bytes. A line break of any kind in the data begins a new `data:` line."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = "".join([f"data: {line}\n" for line in lines])
    return f"event: {name}\nid: {event_id}\n{text}\n".encode()


def _position(last_event_id: str | None) -> tuple[int, int]:
    """How far the client came; from the start if it does not say, or says what was never an id."""
    match = _EVENT_ID.fullmatch((last_event_id or "").strip())
    if match is None:
        return 0, 0
    seq = int(match[1])
    return (seq, 0) if match[2] is None else (max(0, seq - 1), int(match[2]) + 1)
