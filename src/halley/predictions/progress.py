"""A prediction's progress so far: its events, folded into output, logs and metrics.

Both stores and every reader of a running prediction use this one fold, so that a GET during the run, the final row and
a replayed stream can never differ.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from halley.predictions.records import Event, MetricItem, NewEvent, OutputFile, OutputItem
from halley.predictions.status import EventKind

_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1
_COUNTS: Final = frozenset({"image_count", "input_token_count", "output_token_count"})
_EXACT: Final = 2**53  # floats up to here hold every integer
_STARTED: Final = EventKind.STARTED  # reading a member from its class takes three times as long
_OUTPUT_SET: Final = EventKind.OUTPUT_SET
_OUTPUT_ADDED: Final = EventKind.OUTPUT_ADDED
_LOGGED: Final = EventKind.LOGGED
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_output: Final = msgspec.json.Decoder(OutputItem).decode
_decode_metric: Final = msgspec.json.Decoder(MetricItem).decode


class Progress:
    """The fold. Feed it events in order; read the members at any time."""

    __slots__ = ("_dropped", "_items", "_logs", "_single", "files", "metrics")

    def __init__(self) -> None:
        self._items: list[bytes] = []
        self._single: bytes | None = None
        self._logs: list[str] = []
        self.files: tuple[OutputFile, ...] = ()
        self.metrics: dict[str, object] = {}
        self._dropped: dict[str, float] = {}

    def add(self, events: Iterable[Event | NewEvent]) -> "Progress":
        """Add events, in order of `seq`; events without content change nothing."""
        for event in events:
            kind = event.kind
            if kind is _STARTED:
                self.metrics = {}  # each attempt counts from zero; otherwise values of a lost one would count twice
            elif kind is _OUTPUT_SET:
                item = _decode_output(event.data)
                self._single = bytes(item.value)
                self.files += item.files
            elif kind is _OUTPUT_ADDED:
                item = _decode_output(event.data)
                self._items.append(bytes(item.value))
                self.files += item.files
            elif kind is _LOGGED or kind is EventKind.ATTEMPT_LOST:
                self._logs.append(_decode_text(event.data))
            elif kind is EventKind.METRIC_RECORDED:
                record_metric(self.metrics, _decode_metric(event.data), self._dropped)
        return self

    @property
    def output(self) -> bytes | None:
        """JSON: the single value, or the list of items so far; None without output."""
        if self._single is not None:
            return self._single
        return b"[" + b",".join(self._items) + b"]" if self._items else None

    @property
    def has_output(self) -> bool:
        return self._single is not None or bool(self._items)

    @property
    def logs(self) -> str:
        return "".join(self._logs)


def late_logs(events: Iterable[NewEvent]) -> str:
    """The log text that a run prints after its prediction has ended, up to the limit."""
    return "".join(_decode_text(event.data) for event in events if event.kind is EventKind.LOGGED)


def fold(events: Iterable[Event | NewEvent]) -> Progress:
    """The progress in these events."""
    return Progress().add(events)


def record_metric(metrics: dict[str, object], item: MetricItem, dropped: dict[str, float]) -> None:
    """Put one metric into the nested mapping: `timing.load` becomes `{"timing": {"load": ...}}`.

    `incr` adds numbers, `append` makes a list, `replace` overwrites, and removes the metric if its value is None. A
    value that does not fit the mode replaces. The counts that clients know become integers; `dropped` holds what
    rounding took from each, so that many fractions are not lost.
    """
    if item.value is None and item.mode == "replace":
        _take_back(metrics, item.name.split("."))
        return
    *path, leaf = item.name.split(".")
    here = metrics
    for name in path:
        below = here.get(name)
        if not isinstance(below, dict):
            below = here[name] = {}
        here = below
    old = here.get(leaf)
    if item.mode == "incr" and isinstance(old, int | float) and isinstance(item.value, int | float):
        total = _kept(old + item.value)
        here[leaf] = _counted(item.name, total + dropped[item.name] if item.name in dropped else total, dropped)
    elif item.mode == "append" and isinstance(old, list):
        old.append(item.value)  # in place: copying it each time would take quadratic time
    elif item.mode == "append":
        here[leaf] = [item.value] if old is None else [old, item.value]
    else:
        # the list is copied, so that later appends do not change the event
        here[leaf] = [*item.value] if isinstance(item.value, list) else _counted(item.name, item.value, dropped)


def _counted(name: str, value: object, dropped: dict[str, float]) -> object:
    """A count as an integer: the Go client can read no prediction with `7.0` in its place (contract section 7)."""
    if name not in _COUNTS:
        return value
    dropped.pop(name, None)
    if not isinstance(value, float) or abs(value) > _EXACT:
        return value
    count = round(value)
    if count != value:
        dropped[name] = value - count
    return count


def _kept(number: float) -> float:
    """A sum in JSON's range: beyond 64 bits as a float."""
    return number if not isinstance(number, int) or _MIN_INTEGER <= number <= _MAX_INTEGER else float(number)


def _take_back(metrics: dict[str, object], path: list[str]) -> None:
    """Remove a metric, and the groups that are empty without it."""
    name, *rest = path
    below = metrics.get(name)
    if not rest:
        metrics.pop(name, None)
    elif isinstance(below, dict):
        _take_back(below, rest)
        if not below:
            del metrics[name]


def times_of(
    created_at: datetime, started_at: datetime | None, at: datetime, predict_time: float | None
) -> dict[str, object]:
    """The times among `final_metrics`. Conditions, because `max` takes three times as long."""
    total = (at - created_at).total_seconds()  # has six digits already
    times: dict[str, object] = {}
    if started_at is not None:
        measured = (at - started_at).total_seconds() if predict_time is None else predict_time
        times["predict_time"] = round(measured, 6) if measured > 0.0 else 0.0
    times["total_time"] = max(0.0, total)
    return times


def final_metrics(
    created_at: datetime, started_at: datetime | None, progress: Progress, at: datetime, predict_time: float | None
) -> dict[str, object]:
    """The metrics of a terminal prediction.

    `predict_time` seconds of run time (absent if it never ran), `total_time` since creation, `image_count` when the
    output is images. Source: contract section 7, metrics.
    """
    metrics = progress.metrics | times_of(created_at, started_at, at, predict_time)
    if progress.files and all(file.content_type.startswith("image/") for file in progress.files):
        metrics.setdefault("image_count", len(progress.files))
    return metrics
