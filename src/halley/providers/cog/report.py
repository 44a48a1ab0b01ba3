"""Translates the states and events of a run at a Cog server into the types of `dispatch.ports`."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.dispatch.ports import LogText, MetricValue, Outcome, OutputPart, Progress
from halley.providers.cog.sse import StreamEvent
from halley.providers.services.answers import Body, error_of_run, error_text
from halley.providers.services.outputs import OutputReader
from halley.providers.services.run_snapshot import RunSnapshot, read_run

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
        self.has_output = has_output  # some output was reported: a second run could give another one
        self._reader = reader
        self._clean = clean
        self._stream_chars = 0  # of logs, in the stream that is read
        self._log_chars = 0
        self._chunks: list[Any] = []

    def restart(self) -> None:
        """A new stream begins, and shows the run again from its beginning."""
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

    def of_state(self, snapshot: RunSnapshot) -> Iterator[Progress]:
        """The progress that a state shows beyond what was reported."""
        if len(snapshot.logs) > self._log_chars:
            yield LogText(self._clean(snapshot.logs[self._log_chars :]))
            self._log_chars = len(snapshot.logs)
        if snapshot.state == "succeeded":
            yield from self._noted(self._reader.final(snapshot.output))
        else:
            yield from self._noted(self._reader.grown(snapshot.output))
        if snapshot.state != "open":
            for name, value in snapshot.metrics.items():
                yield MetricValue(name=name, value=value)

    def _noted(self, parts: Iterator[OutputPart]) -> Iterator[OutputPart]:
        for part in parts:
            self.has_output = True
            yield part

    def outcome(self, snapshot: RunSnapshot) -> Outcome:
        """How the run ended."""
        if snapshot.state == "canceled":
            return Outcome(status="canceled", error=_CANCELED, predict_time=snapshot.predict_time)
        if snapshot.state == "succeeded":
            return Outcome(status="succeeded", predict_time=snapshot.predict_time)
        error = error_of_run(_PREFIX.sub("", snapshot.error or ""), self._clean) or _NO_REASON
        return Outcome(status="failed", error=error, predict_time=snapshot.predict_time)


def end_in(event: StreamEvent, run_id: str) -> RunSnapshot | None:
    """The end of the run, if the event is that."""
    return read_run(event.data, run_id, is_large=event.is_large) if event.name == "completed" else None


def with_time(snapshot: RunSnapshot, body: Body | None) -> RunSnapshot:
    """The snapshot with `predict_time`: for a failed run, older versions give start and end instead of metrics."""
    if snapshot.predict_time is not None or body is None:
        return snapshot
    try:
        began, ended = (msgspec.convert(body.get(name), datetime) for name in ("started_at", "completed_at"))
        return msgspec.structs.replace(snapshot, predict_time=max((ended - began).total_seconds(), 0.0))
    except (msgspec.ValidationError, TypeError, ValueError):
        return snapshot


def is_unsent(snapshot: RunSnapshot) -> bool:
    """Whether coglet failed to hand the run to the model's process, so that nothing was begun. Observed in 0.23.1.

    An error of a model has other words before it.
    """
    return snapshot.state == "failed" and (snapshot.error or "").startswith(_UNSENT)


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
