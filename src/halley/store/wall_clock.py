"""The clock of a store, on a machine whose wall clock may be set.

A deadline of five minutes and a day in the queue mean elapsed time, not clock time. Rows contain wall-clock times,
however, because only these survive a restart. So a store compares the wall clock with elapsed time at the start of each
transaction. If the wall clock was set since the previous transaction, all future times in the rows move by the same
amount, in this transaction. Time during which the machine slept counts as elapsed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from halley.clock import Clock
from halley.store.ages import Ages, ClockMove

SET_SECONDS: Final = 2.0  # smaller changes are normal corrections, and too small to matter
MOVES_KEPT: Final = 20
LONGEST_BACKOFF: Final = timedelta(seconds=60)  # a row that is ready later than that was written before a clock change
_READING_SECONDS: Final = 0.1  # two clocks read further apart than this cannot be compared
_UNDER_WAY_SECONDS: Final = 30.0  # the longest time between a caller's read of the clock and its transaction


class _Reading(NamedTuple):
    now: datetime
    elapsed: float
    offset: float | None  # wall-clock time minus elapsed time; None: the two were read too far apart


class WallClock:
    """Notices that the wall clock was set, and gives ages in elapsed time.

    `look` is called at the start of each transaction and `keep` after its commit: if a transaction is rolled back, the
    next one notices the change again. Every row that exists at a look was created before it, so a move applies to all
    rows.
    """

    def __init__(self, clock: Clock, newest_id: str, moves: Sequence[ClockMove] = ()) -> None:
        """`newest_id` is the greatest of all predictions, or empty; `moves` are those known so far, oldest first."""
        self._clock = clock
        self._last = self._read()
        self._offset = self._last.offset  # as of the last committed transaction
        self._set_by = 0.0
        self._set_at = 0.0  # elapsed time
        self._ages = Ages(self._last.now, self._last.elapsed, newest_id, moves)

    @property
    def now(self) -> datetime:
        """The wall-clock time at the last look."""
        return self._last.now

    def look(self) -> float:
        """By how many seconds the wall clock has moved against elapsed time since the last committed transaction.

        Less than `SET_SECONDS` is normal: it is ignored, and the next look compares again.
        """
        self._last = self._read()
        if self._offset is None or self._last.offset is None:
            return 0.0
        return self._last.offset - self._offset

    @property
    def is_sharp(self) -> bool:
        """Whether the last look could compare the clocks."""
        return self._last.offset is not None

    def note_move(self, by_seconds: float) -> None:
        """The rows were moved, in the transaction of the last look."""
        self._set_by, self._set_at = by_seconds, self._last.elapsed

    def keep(self) -> None:
        """The transaction of the last look was committed."""
        if self._last.offset is not None:
            self._offset = self._last.offset

    @property
    def was_set(self) -> bool:
        """Whether the clock was set so lately that `current` may correct a time."""
        return self._set_by != 0.0 and self._last.elapsed - self._set_at <= _UNDER_WAY_SECONDS

    def current(self, at: datetime) -> datetime:
        """A time that a caller has just read from the clock, corrected by later changes of the clock."""
        if not self.was_set:
            return at
        moved = at + timedelta(seconds=self._set_by)
        return moved if abs(moved - self._last.now) < abs(at - self._last.now) else at

    # ages, in elapsed time

    @property
    def wants_mark(self) -> bool:
        """Whether `mark` should be called now."""
        return self._ages.wants_mark(self._last.elapsed)

    def mark(self, newest_id: str) -> None:
        """Record which id is the greatest at the last look."""
        self._ages.mark(self._last.now, self._last.elapsed, newest_id)

    def older_than(self, seconds: float) -> str:
        """An id: predictions with smaller ids are at least that old."""
        return self._ages.older_than(seconds, self._last.elapsed)

    def age(self, prediction_id: str, created_at: datetime) -> float:
        """How many seconds have passed since this prediction was created."""
        return self._ages.age(prediction_id, created_at, self._last.elapsed)

    def _read(self) -> _Reading:
        before = self._clock.elapsed()
        now = self._clock.now()
        after = self._clock.elapsed()
        is_sharp = after - before <= _READING_SECONDS
        return _Reading(now, after, now.timestamp() - after if is_sharp else None)
