"""The durations of the last requests or runs, for people: a fixed amount of memory."""

from collections import deque
from math import ceil
from typing import Final, NamedTuple

KEPT: Final = 256


class DurationSummary(NamedTuple):
    """Half of the last `of` durations were at most `median` seconds, 95 % of them at most `p95`."""

    of: int
    median: float
    p95: float


class Durations:
    """The last KEPT durations, in seconds."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=KEPT)

    def note(self, seconds: float) -> None:
        """Add a duration."""
        self._kept.append(seconds)

    def summary(self) -> DurationSummary | None:
        """None if there are none yet."""
        if not self._kept:
            return None
        rows = sorted(self._kept)
        return DurationSummary(len(rows), _at(rows, 0.5), _at(rows, 0.95))


def _at(rows: list[float], part: float) -> float:
    """The smallest of the sorted values below or at which this part of them is."""
    return rows[ceil(len(rows) * part) - 1]
