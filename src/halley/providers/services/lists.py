"""Compares the times in the list of a service with the time of a create whose answer was lost: runs that are older
than the create were not begun by it.
"""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from math import inf
from typing import Final

from halley.clock import Clock
from halley.dispatch.ports import Work
from halley.egress import EgressResponse
from halley.ids import made_at

MOST_PAGES: Final = 50  # of one look through a list; it ends earlier at runs that are older than the create
ANY_AGE_SECONDS: Final = 30 * 86_400.0  # of what was created in the future: the clock was set back since
CLOCK_SECONDS: Final = 120.0  # a clock that was set by less, while no process of ours ran, changes nothing
_APART: Final = timedelta(seconds=120)  # how far the clock of a service may be off
_DATED: Final = timedelta(seconds=10)  # the same, besides what its Date header shows
_WRONG: Final = timedelta(days=3650)  # times that are further out cannot always be added
_ROUGHLY: Final = timedelta(seconds=60)  # in a list whose newest runs come first, they may be so far out of order


class NewestFirst:
    """The times in a list. Only if the newest runs come first, an earlier one shows that the rest is earlier, too."""

    def __init__(self, earliest: datetime, latest: datetime | None = None) -> None:
        """What is looked for is not older than `earliest`, nor newer than `latest`, if that is known."""
        self._earliest = earliest
        self._latest = latest
        self._first: datetime | None = None
        self._last = earliest
        self._is_mixed = False

    def is_recent(self, at: datetime | None) -> bool:
        """Whether the next row may be as new as what is looked for; one without a time may."""
        if at is None:
            return True
        self._is_mixed |= self._first is not None and at - self._last > _ROUGHLY
        self._first = self._first or at
        self._last = at
        return at >= self._earliest and (self._latest is None or at <= self._latest)

    @property
    def is_passed(self) -> bool:
        """Whether the rows that follow are too old."""
        is_falling = self._first is not None and self._first > self._last and not self._is_mixed
        return is_falling and self._last < self._earliest


def latest_of(earliest: datetime, within_seconds: float) -> datetime | None:
    """The latest time that a list can show for a run that began within so many seconds; None: any."""
    return None if within_seconds == inf else earliest + timedelta(seconds=within_seconds) + 2 * _APART


def clock_ahead(response: EgressResponse, clock: Clock) -> timedelta:
    """How far the clock of the service is ahead of ours, at least; negative if it may be behind."""
    try:
        ahead = parsedate_to_datetime(response.headers["date"]) - clock.now() - _DATED
        return min(max(ahead, -_WRONG), _WRONG)
    except (KeyError, ValueError, TypeError, OverflowError):
        return -_APART


def age_seconds(work: Work, clock: Clock) -> float:
    """How long ago the prediction was created, at most: the clock may have been set since."""
    made = made_at(work.prediction_id)
    if made is None:
        return work.age_seconds
    by_clock = (clock.now() - made).total_seconds()
    return ANY_AGE_SECONDS if by_clock < 0 else max(work.age_seconds, by_clock) + CLOCK_SECONDS
