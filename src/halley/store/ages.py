"""The ages of predictions in elapsed time, independent of changes of the wall clock.

The ids of predictions are ordered by time of creation. So the store regularly remembers the greatest id (a mark):
predictions with smaller ids are older than the mark. Between two marks the wall clock gives the age, within the limits
of the marks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from halley.ids import LAST_ID, first_id_at

_MARK_SECONDS: Final = 0.5
_FINENESS: Final = 200  # an age is accurate to half a percent
_MANY: Final = 4000  # marks after which older ones are thinned out


class ClockMove(msgspec.Struct, frozen=True, kw_only=True):
    """The wall clock was set by so many seconds, and showed `at` then. Rows stored before have ids below `since_id`."""

    at: datetime
    by_seconds: float
    since_id: str = ""


class _Mark(NamedTuple):
    at: float  # elapsed time
    wall: datetime
    id: str  # predictions that existed then have smaller ids, later ones have greater ids


class Ages:
    """Marks since the store was opened; for the time before, what is known of the wall clock."""

    def __init__(self, wall: datetime, at: float, newest_id: str, moves: Sequence[ClockMove]) -> None:
        self._marks = [_Mark(at, wall, behind(newest_id))]  # oldest first
        self._moves = moves

    def wants_mark(self, at: float) -> bool:
        """Whether the last mark is old enough for another one."""
        return at - self._marks[-1].at >= _MARK_SECONDS

    def mark(self, wall: datetime, at: float, newest_id: str) -> None:
        """Add a mark. `newest_id` is the greatest now; a greater one may have been removed."""
        self._marks.append(_Mark(at, wall, max(self._marks[-1].id, behind(newest_id))))
        if len(self._marks) > _MANY:
            self._thin(at)

    def older_than(self, seconds: float, now: float) -> str:
        """An id: predictions with smaller ids are at least so many seconds old."""
        at = now - seconds
        number = bisect_right(self._marks, at, key=attrgetter("at"))
        if number == 0:
            first = self._marks[0]
            return min(first.id, self._older_than_opening(first.wall + timedelta(seconds=at - first.at)))
        mark = self._marks[number - 1]
        bound = max(mark.id, first_id_at(mark.wall + timedelta(seconds=at - mark.at)))
        return bound if number == len(self._marks) else min(bound, self._marks[number].id)

    def age(self, prediction_id: str, created_at: datetime, now: float) -> float:
        """How many seconds ago it was created."""
        number = len(self._marks)
        if prediction_id <= self._marks[-1].id:  # most are younger
            number = bisect_left(self._marks, prediction_id, key=attrgetter("id"))
        if number == 0:
            return now - self._created_before_opening(prediction_id, created_at)
        mark = self._marks[number - 1]
        latest = now if number == len(self._marks) else self._marks[number].at
        return now - min(mark.at + max((created_at - mark.wall).total_seconds(), 0.0), latest)

    def _older_than_opening(self, wall: datetime) -> str:
        """The bound for a time before the opening, in terms of the wall clock at the opening."""
        least, most = "", LAST_ID
        for move in reversed(self._moves):
            if wall >= move.at:
                least = move.since_id
                break
            most = move.since_id  # ids never decrease: where the clock was set back, they stay the same for a time
            wall -= timedelta(seconds=move.by_seconds)
        return min(max(least, first_id_at(wall)), most)

    def _created_before_opening(self, prediction_id: str, created_at: datetime) -> float:
        first = self._marks[0]
        moved = sum(move.by_seconds for move in self._moves if prediction_id < move.since_id)
        return first.at - max((first.wall - created_at).total_seconds() - moved, 0.0)

    def _thin(self, now: float) -> None:
        kept = [self._marks[-1]]
        for mark, older in zip(self._marks[-2:0:-1], self._marks[-3::-1], strict=True):
            if kept[-1].at - older.at > (now - mark.at) / _FINENESS:
                kept.append(mark)
        self._marks = [self._marks[0], *reversed(kept)]


def behind(newest_id: str) -> str:
    """A text greater than this id, and smaller than any greater id."""
    return newest_id + "0" if newest_id else ""
