"""The wall clock of the store in memory: what moves in the entries when it was set. See `store.wall_clock`."""

from collections.abc import Mapping, MutableMapping
from datetime import datetime, timedelta

from halley.clock import Clock
from halley.predictions.duties import Duty
from halley.store.ages import ClockMove, behind
from halley.store.memory.entries import DISTANT_PAST, Entry
from halley.store.wall_clock import LONGEST_BACKOFF, MOVES_KEPT, SET_SECONDS, WallClock


class MemoryClock:
    """Every operation in which time counts calls `look` first."""

    def __init__(
        self,
        clock: Clock,
        entries: Mapping[str, Entry],
        sessions: MutableMapping[str, datetime],
        duties: MutableMapping[str, tuple[Duty, datetime | None]],
    ) -> None:
        self._clock = clock
        self._entries = entries
        self._sessions = sessions
        self._duties = duties
        self._moves: list[ClockMove] = []
        self.open()

    def open(self) -> None:
        """Begin anew, as a process that was not there before: what the wall clock shows now is believed."""
        self._wall = WallClock(self._clock, self._newest_id(), tuple(self._moves))

    def look(self, at: datetime | None = None) -> datetime:
        """Follow the wall clock if it was set; gives `at` as the clock shows it now (see `WallClock.current`)."""
        moved = self._wall.look()
        is_set = abs(moved) >= SET_SECONDS
        if is_set:
            self._wall.note_move(moved)
            self._move(self._wall.now, moved)
        if is_set or self._wall.wants_mark:
            self._wall.mark(self._newest_id())
        self._wall.keep()
        return self._wall.now if at is None else self._wall.current(at)

    def current(self, at: datetime) -> datetime:
        """See `WallClock.current`."""
        return self._wall.current(at)

    def older_than(self, seconds: float) -> str:
        """See `WallClock.older_than`."""
        return self._wall.older_than(seconds)

    def age(self, prediction_id: str, created_at: datetime) -> float:
        """See `WallClock.age`."""
        return self._wall.age(prediction_id, created_at)

    def bring_near(self, at: datetime) -> None:
        """No entry waits for a time that no rule can have meant: the wall clock was set back while nobody ran."""
        for entry in self._entries.values():
            row, place = entry.prediction, entry.place
            if row.deadline_at is not None and not row.is_terminal and at < row.created_at < row.deadline_at:
                entry.move_deadline(at + (row.deadline_at - row.created_at))
            if place is not None and place.ready_at > at + LONGEST_BACKOFF:
                place.ready_at = at

    def _move(self, at: datetime, by_seconds: float) -> None:
        by = timedelta(seconds=by_seconds)
        move = ClockMove(at=at, by_seconds=by_seconds, since_id=behind(self._newest_id()))
        self._moves = [*self._moves[1 - MOVES_KEPT :], move]
        for entry in self._entries.values():
            row, place = entry.prediction, entry.place
            if row.deadline_at is not None and not row.is_terminal:
                entry.move_deadline(row.deadline_at + by)
            if place is not None and place.ready_at != DISTANT_PAST:
                place.ready_at += by
                if place.ready_at > at + LONGEST_BACKOFF:
                    place.ready_at = at
        for name, expires_at in self._sessions.items():
            self._sessions[name] = expires_at + by
        for name, (duty, until) in self._duties.items():
            self._duties[name] = duty, None if until is None else until + by

    def _newest_id(self) -> str:
        return max(self._entries, default="")
