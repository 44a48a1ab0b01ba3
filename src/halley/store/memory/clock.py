"""The wall clock of the store in memory: what moves in the entries when it was set. See `store.wall_clock`."""

from datetime import datetime, timedelta

import msgspec

from halley.clock import Clock
from halley.store.ages import ClockMove, behind
from halley.store.memory.entries import DISTANT_PAST
from halley.store.memory.tables import MemoryTables
from halley.store.wall_clock import LONGEST_BACKOFF, MOVES_KEPT, SET_SECONDS, WallClock


class MemoryClock:
    """Every operation that depends on time calls `look` first."""

    def __init__(
        self,
        clock: Clock,
        tables: MemoryTables,
    ) -> None:
        self._clock = clock
        self._tables = tables
        self.open()

    def open(self) -> None:
        """Start again, as a new process would: the present wall clock is accepted."""
        self._wall = WallClock(self._clock, self._newest_id(), tuple(self._tables.clock_moves))
        self._seen = self._tables.clock_moves_made  # the moves that the offset includes

    def look(self, at: datetime | None = None) -> datetime:
        """Follow the wall clock if it was set; returns `at` as the clock shows it now (see `WallClock.current`)."""
        moved = self._wall.look()
        has_moved = abs(moved) >= SET_SECONDS or self._seen != self._tables.clock_moves_made
        if has_moved:
            self._follow(moved)
        if has_moved or self._wall.wants_mark:
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
        """Limit the times of entries to what a rule can have set: the wall clock was set back while no process ran."""
        for entry in self._tables.entries.values():
            row, place = entry.prediction, entry.place
            if row.deadline_at is not None and not row.is_terminal and at < row.created_at < row.deadline_at:
                entry.move_deadline(at + (row.deadline_at - row.created_at))
            if place is not None and place.ready_at > at + LONGEST_BACKOFF:
                place.ready_at = at
        for name, (provider, counted_at, where) in self._tables.submits.items():
            self._tables.submits[name] = provider, min(counted_at, at), where

    def _follow(self, moved: float) -> None:
        """The first node that notices the change moves the entries for all."""
        if abs(moved) >= SET_SECONDS:
            self._wall.note_move(moved)
        unseen = self._tables.clock_moves_made - self._seen
        left = moved - sum(move.by_seconds for move in self._tables.clock_moves[-unseen:] if unseen)
        if abs(left) >= SET_SECONDS:
            self._move(self._wall.now, left)
        self._seen = self._tables.clock_moves_made

    def _move(self, at: datetime, by_seconds: float) -> None:
        by = timedelta(seconds=by_seconds)
        move = ClockMove(at=at, by_seconds=by_seconds, since_id=behind(self._newest_id()))
        self._tables.clock_moves.append(move)
        self._tables.clock_moves_made += 1
        del self._tables.clock_moves[:-MOVES_KEPT]
        for entry in self._tables.entries.values():
            row, place = entry.prediction, entry.place
            if row.deadline_at is not None and not row.is_terminal:
                entry.move_deadline(row.deadline_at + by)
            if place is not None and place.ready_at != DISTANT_PAST:
                place.ready_at += by
                if place.ready_at > at + LONGEST_BACKOFF:
                    place.ready_at = at
        for name, expires_at in self._tables.sessions.items():
            self._tables.sessions[name] = expires_at + by
        for name, expires_at in self._tables.attending_nodes.items():
            self._tables.attending_nodes[name] = expires_at + by
        for name, (provider, counted_at, where) in self._tables.submits.items():
            self._tables.submits[name] = provider, counted_at + by, where
        for used, (key, prediction_id) in self._tables.keys_used.items():
            moved = msgspec.structs.replace(key, expires_at=key.expires_at + by)
            self._tables.keys_used[used] = moved, prediction_id
        for digest, one in self._tables.sign_ins.items():
            self._tables.sign_ins[digest] = msgspec.structs.replace(
                one, created_at=one.created_at + by, ends_at=one.ends_at + by
            )
        for bulk in self._tables.bulk.values():
            if bulk.holder is not None:
                bulk.lease_until += by
        for name, (duty, until) in self._tables.duties.items():
            self._tables.duties[name] = duty, None if until is None else until + by

    def _newest_id(self) -> str:
        return max(self._tables.entries, default="")
