"""The times and metrics of two predictions, beside each other."""

from typing import Final

import msgspec

from halley.web.views.durations import in_words, seconds_between
from halley.web.views.run import ShownRun
from halley.web.views.texts import cut

_METRICS: Final = 50
_CHARACTERS: Final = 100


class TimeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row; "" where it is not known."""

    name: str
    left: str
    right: str


def times(left: ShownRun, right: ShownRun) -> list[TimeRow]:
    """How long both waited and ran, and all of their metrics."""
    rows = [
        TimeRow(name="waited", left=_waited(left), right=_waited(right)),
        TimeRow(name="ran", left=_ran(left), right=_ran(right)),
    ]
    names = list(dict.fromkeys([*left.metrics, *right.metrics]))[:_METRICS]
    rows += [TimeRow(name=name, left=_metric(left, name), right=_metric(right, name)) for name in names]
    return rows


def metrics_of(run: ShownRun) -> list[tuple[str, str]]:
    """Names and values, without the times that the course of the prediction shows."""
    names = [name for name in run.metrics if name not in ("predict_time", "total_time")]
    return [(name, _metric(run, name)) for name in names[:_METRICS]]


def _waited(run: ShownRun) -> str:
    return in_words(seconds_between(run.created_at, run.started_at or run.completed_at))


def _ran(run: ShownRun) -> str:
    return in_words(seconds_between(run.started_at, run.completed_at))


def _metric(run: ShownRun, name: str) -> str:
    value = run.metrics.get(name)
    if value is None:
        return ""
    if name.endswith("_time") and isinstance(value, (int, float)):
        return in_words(float(value))
    return cut(msgspec.json.encode(value).decode(), _CHARACTERS)
