"""Counts over time as bars, and as the same numbers in words."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from halley.clock import rfc3339

HEIGHT: Final = 72
STEP: Final = 10  # from one bar to the next; 2 of it stay free
_BAR: Final = 8


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One interval: its bar in a picture of HEIGHT, and what it says."""

    x: int
    y: float
    width: int
    height: float
    count: int
    starts_at: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Bars from left to right; `most` is the count of the highest."""

    width: int
    height: int
    bars: tuple[Bar, ...]
    most: int
    total: int

    @property
    def counted(self) -> tuple[Bar, ...]:
        """The intervals in which there was anything."""
        return tuple(bar for bar in self.bars if bar.count)


def chart_of(counts: Sequence[int], starts_at: str, interval_seconds: int, *, height: int = HEIGHT) -> Chart:
    """The chart of these counts; the first interval begins at `starts_at`."""
    start = datetime.fromisoformat(starts_at)
    most = max(counts, default=0)
    bars = []
    for place, count in enumerate(counts):
        high = round(max(2, count / most * (height - 2)), 1) if count else 0.0  # one is seen beside a thousand
        begins = start + timedelta(seconds=place * interval_seconds)
        bars.append(
            Bar(
                x=place * STEP + (STEP - _BAR) // 2,
                y=round(height - high, 1),
                width=_BAR,
                height=high,
                count=count,
                starts_at=rfc3339(begins),
            )
        )
    return Chart(width=max(1, len(bars)) * STEP, height=height, bars=tuple(bars), most=most, total=sum(counts))


def sum_of(all_counts: Sequence[Sequence[int]]) -> list[int]:
    """The counts of all groups together, interval by interval."""
    return [sum(column) for column in zip(*all_counts, strict=True)]
