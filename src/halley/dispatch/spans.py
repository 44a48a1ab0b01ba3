"""Spans of time that people were promised, on a machine whose wall clock may be set.

A deadline of five minutes and a day in the queue mean time that passes, not what a clock shows. Records are in wall
time, though, because only that survives a restart. So the wall clock is compared with time that passes: when it was
set, what is written about the future of open predictions is moved with it; and how long something waits is told by an
id that was made then, since ids are ordered by their making whatever the clock shows. Time that the machine slept has
passed.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from halley.clock import Clock
from halley.ids import NewId, first_id_at
from halley.predictions.ports import ClockMove

SET_SECONDS: Final = 2.0  # less is correction in ordinary service, and too little to matter
_READING_SECONDS: Final = 0.1  # two clocks read further apart than this cannot be compared
_MARKS: Final = 500  # how finely the longest wait is told: to a fifth of a percent


class Jump(NamedTuple):
    """The wall clock was set by so many seconds and shows `at` now, between the making of two ids."""

    at: datetime
    by_seconds: float
    since_id: str
    until_id: str


class WallClock:
    """Notices when the wall clock is set. Looking waits for nobody, so two looks are never far apart."""

    def __init__(self, clock: Clock, new_id: NewId) -> None:
        self._clock = clock
        self._new_id = new_id
        self._offset = self._read()[1] or 0.0
        self._looked_id = new_id()
        self.jumps: deque[Jump] = deque()  # what has not followed yet, in order

    def look(self) -> datetime:
        """The wall time, after comparing it with time that passed; to be called often."""
        now, offset = self._read()
        if offset is None:
            return now
        looked_id = self._new_id()
        moved = offset - self._offset
        if abs(moved) >= SET_SECONDS:
            self.jumps.append(Jump(now, moved, since_id=self._looked_id, until_id=looked_id))
        self._offset, self._looked_id = offset, looked_id
        return now

    def _read(self) -> tuple[datetime, float | None]:
        before = self._clock.elapsed()
        now = self._clock.now()
        after = self._clock.elapsed()
        return now, None if after - before > _READING_SECONDS else now.timestamp() - after


class _Mark(NamedTuple):
    at: float  # in time that passed
    wall: datetime
    id: str


class Ages:
    """Tells ids by their age, in time that passed."""

    def __init__(self, clock: Clock, new_id: NewId, longest_seconds: float) -> None:
        self._clock = clock
        self._new_id = new_id
        self._longest_seconds = longest_seconds
        self._marks = deque([self._made()])  # oldest first
        self._moves: Sequence[ClockMove] = ()

    def learn(self, moves: Sequence[ClockMove]) -> None:
        """When the clock was set before this process began, oldest first."""
        self._moves = moves

    def mark(self) -> None:
        """Remember the present; to be called often."""
        now = self._clock.elapsed()
        if now - self._marks[-1].at >= self._longest_seconds / _MARKS:
            self._marks.append(self._made())
        while len(self._marks) > 1 and self._marks[1].at <= now - self._longest_seconds:
            self._marks.popleft()

    def bound(self) -> str:
        """An id: those that are smaller were made at least `longest_seconds` ago.

        Between two marks the wall clock tells, as far as they allow; before the first, when this process was not there,
        what is known of it.
        """
        at = self._clock.elapsed() - self._longest_seconds
        first = self._marks[0]
        wall = first.wall + timedelta(seconds=at - first.at)
        if at < first.at:
            return _id_before(wall, self._moves)
        by_wall = first_id_at(wall)
        return max(first.id, by_wall if len(self._marks) == 1 else min(by_wall, self._marks[1].id))

    def _made(self) -> _Mark:
        return _Mark(self._clock.elapsed(), self._clock.now(), self._new_id())


def _id_before(wall: datetime, moves: Sequence[ClockMove]) -> str:
    """The bound for a time of the past, given as the wall clock of today would have shown it."""
    bound = ""
    for move in reversed(moves):
        if wall >= move.at:
            bound = move.since_id  # ids never go back: where the clock did, they stand still for a while
            break
        wall -= timedelta(seconds=move.by_seconds)
    return max(bound, first_id_at(wall))
