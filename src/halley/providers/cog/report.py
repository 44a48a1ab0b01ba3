"""What a Cog server says of a run, in the words of `dispatch.ports`."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.dispatch.ports import LogText, MetricValue, Outcome, OutputPart, Progress
from halley.providers.cog.sse import StreamEvent
from halley.providers.services.answers import Body, error_of_run, error_text
from halley.providers.services.outputs import OutputReader
from halley.providers.services.seen import SeenRun, read_run

_PREFIX: Final = re.compile(r"^(?:(?:Prediction failed|Async prediction failed|Generator iteration error): )+")
_MOST_FAULTS: Final = 10
_UNSENT: Final = ("Failed to send request: Failed to send on slot socket", "Failed to send on slot socket")
_NO_REASON: Final = "The model gave no reason."
_CANCELED: Final = "The run was canceled at its server."  # shown only if it was not canceled here
_NAMES: Final = frozenset({"start", "log", "output", "metric", "completed"})


class RunReport:
    """Turns states and events of one run into progress, each part once."""

    def __init__(self, reader: OutputReader, clean: Callable[[str], str], *, has_output: bool = False) -> None:
        """`clean` takes our secrets out of a text."""
        self.has_output = has_output  # some of it was reported: another run could have another
        self._reader = reader
        self._clean = clean
        self._stream_chars = 0  # of logs, in the stream that is read
        self._log_chars = 0
        self._chunks: list[Any] = []

    def restart(self) -> None:
        """A stream begins, which shows everything from the beginning of the run."""
        self._stream_chars = 0
        self._chunks = []

    def of_event(self, event: StreamEvent) -> Iterator[Progress]:
        """The progress in an event of the stream."""
        if event.name == "log" and isinstance(text := event.data.get("data"), str) and text:
            new = text[max(self._log_chars - self._stream_chars, 0) :]
            self._stream_chars += len(text)
            if new:
                self._log_chars = self._stream_chars
                yield LogText(self._clean(new))
        elif event.name == "output" and "chunk" in event.data:
            self._chunks.append(event.data["chunk"])
            yield from self._noted(self._reader.grown(self._chunks))

    def of_state(self, seen: SeenRun) -> Iterator[Progress]:
        """The progress that a state shows beyond what was reported."""
        if len(seen.logs) > self._log_chars:
            yield LogText(self._clean(seen.logs[self._log_chars :]))
            self._log_chars = len(seen.logs)
        if seen.state == "succeeded":
            yield from self._noted(self._reader.final(seen.output))
        else:
            yield from self._noted(self._reader.grown(seen.output))
        if seen.state != "open":
            for name, value in seen.metrics.items():
                yield MetricValue(name=name, value=value)

    def _noted(self, parts: Iterator[OutputPart]) -> Iterator[OutputPart]:
        for part in parts:
            self.has_output = True
            yield part

    def outcome(self, seen: SeenRun) -> Outcome:
        """How the run ended."""
        if seen.state == "canceled":
            return Outcome(status="canceled", error=_CANCELED, predict_time=seen.predict_time)
        if seen.state == "succeeded":
            return Outcome(status="succeeded", predict_time=seen.predict_time)
        error = error_of_run(_PREFIX.sub("", seen.error or ""), self._clean) or _NO_REASON
        return Outcome(status="failed", error=error, predict_time=seen.predict_time)


def end_in(event: StreamEvent, run_id: str) -> SeenRun | None:
    """The end of the run, if the event is that."""
    return read_run(event.data, run_id, is_large=event.is_large) if event.name == "completed" else None


def with_time(seen: SeenRun, body: Body | None) -> SeenRun:
    """With the time of a run that failed: the older line gives its start and its end, and no metrics."""
    if seen.predict_time is not None or body is None:
        return seen
    try:
        began, ended = (msgspec.convert(body.get(name), datetime) for name in ("started_at", "completed_at"))
        return msgspec.structs.replace(seen, predict_time=max((ended - began).total_seconds(), 0.0))
    except (msgspec.ValidationError, TypeError, ValueError):
        return seen


def is_unsent(seen: SeenRun) -> bool:
    """Whether coglet could give the run to no process of the model: then nothing was begun. Seen in 0.23.1.

    An error of a model has other words before it.
    """
    return seen.state == "failed" and (seen.error or "").startswith(_UNSENT)


def is_known(event: StreamEvent) -> bool:
    """Whether the event is one that a run has; `error` says that the stream is broken."""
    return event.name in _NAMES


def broken_by(event: StreamEvent) -> str:
    """Why the stream ends before the run, from its event `error`."""
    return f"The event stream ended with an event {event.name!r}: {error_text(event.data) or 'it gives no reason'}."


def refusal(status: int, body: Body | None) -> str:
    """Why the server did not do what it was asked: in a sentence, with the inputs that it does not take."""
    detail = None if body is None else body.get("detail")
    listed = detail[:_MOST_FAULTS] if isinstance(detail, list) else []
    faults = [one for one in listed if isinstance(one, dict)]
    if not faults:
        return f"It answered {status}: {error_text(body) or 'without a reason that can be read'}"
    texts = [f"{_place(one)}: {one.get('msg')}" for one in faults]
    return f"It answered {status}: {'; '.join(texts)}"


def _place(fault: Body) -> str:
    """Where a fault of an input is, without the word for the body."""
    found = fault.get("loc")
    parts = found if isinstance(found, list) else [] if found is None else [found]
    return ".".join(str(part) for part in parts).removeprefix("body.")
