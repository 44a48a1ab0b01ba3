"""The wall clock of the SQLite store: what moves in the rows when it was set. See `store.wall_clock`."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import logging
import sqlite3
from datetime import datetime
from typing import Final

from halley.clock import Clock, from_micros, to_micros
from halley.store.ages import ClockMove, behind
from halley.store.wall_clock import LONGEST_BACKOFF, MOVES_KEPT, SET_SECONDS, WallClock

_log = logging.getLogger(__name__)

_OPEN_DEADLINE: Final = "deadline_at IS NOT NULL AND completed_at IS NULL"
_MOVE_DEADLINES: Final = (
    f"UPDATE predictions SET deadline_at = deadline_at + ?, revision = revision + 1 WHERE {_OPEN_DEADLINE}"
)
_MOVE_READY: Final = "UPDATE queue SET ready_at = ready_at + ?"
_MOVE_SESSIONS: Final = "UPDATE sessions SET expires_at = expires_at + ?"
_MOVE_DUTIES: Final = "UPDATE duties SET expires_at = expires_at + ?"
_MOVE_NODES: Final = "UPDATE attending_nodes SET expires_at = expires_at + ?"
_MOVE_BULK: Final = "UPDATE bulk_actions SET lease_until = lease_until + ? WHERE state = 'running'"
_MOVE_SUBMITS: Final = "UPDATE submits SET at = at + ?"
_MOVE_KEYS: Final = "UPDATE idempotency SET expires_at = expires_at + ?"
_MOVE_SIGN_INS: Final = "UPDATE sign_ins SET created_at = created_at + ?1, ends_at = ends_at + ?1"
_NEAR_DEADLINES: Final = (
    "UPDATE predictions SET deadline_at = ?1 + deadline_at - created_at, revision = revision + 1"
    f" WHERE {_OPEN_DEADLINE} AND created_at > ?1 AND deadline_at > created_at"
)
_COPY_DEADLINES: Final = (
    "UPDATE queue SET deadline_at = (SELECT p.deadline_at FROM predictions AS p WHERE p.id = prediction_id)"
    " WHERE deadline_at IS NOT NULL"
)
_NEAR_READY: Final = "UPDATE queue SET ready_at = ? WHERE ready_at > ?"
_NEAR_SUBMITS: Final = "UPDATE submits SET at = ?1 WHERE at > ?1"
_NEWEST_ID: Final = "SELECT coalesce(max(id), '') FROM predictions"
_LAST_MOVE: Final = "SELECT coalesce(max(number), 0) FROM clock_moves"
_MOVED_SINCE: Final = 'SELECT coalesce(sum("by"), 0) FROM clock_moves WHERE number > ?'
_NOTE_MOVE: Final = 'INSERT INTO clock_moves (at, "by", since_id) VALUES (?, ?, ?)'
_FORGET_MOVES: Final = "DELETE FROM clock_moves WHERE number <= (SELECT max(number) FROM clock_moves) - ?"
_LIST_MOVES: Final = 'SELECT at, "by", since_id FROM clock_moves ORDER BY number'


class SqliteClock:
    """Used in the writer's thread. Several processes of one machine may have the database open: each notices a changed
    clock, and the first one moves the rows for all.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Clock, *, is_shared: bool = False) -> None:
        """`is_shared`: others have the database open, and each transaction looks whether they have moved the rows."""
        self._is_shared = is_shared
        moves = [
            ClockMove(at=from_micros(at), by_seconds=by / 1e6, since_id=since_id)
            for at, by, since_id in connection.execute(_LIST_MOVES)
        ]
        self._wall = WallClock(clock, _newest_id(connection), moves)
        self._seen = self._seen_now = _last_move(connection)  # number of the last move that the offset includes
        self._moved = 0.0  # in the open transaction

    def begin(self, connection: sqlite3.Connection) -> bool:
        """Check the wall clock at the start of a transaction; True if times in the rows have moved since the
        last one.
        """
        moved = self._wall.look()
        self._moved, self._seen_now = 0.0, _last_move(connection) if self._is_shared else self._seen
        has_moved = abs(moved) >= SET_SECONDS or self._seen_now != self._seen
        if has_moved:
            self._follow(connection, moved)
        if has_moved or self._wall.wants_mark:
            self._wall.mark(_newest_id(connection))
        return has_moved

    def _follow(self, connection: sqlite3.Connection, moved: float) -> None:
        if abs(moved) >= SET_SECONDS:
            self._wall.note_move(moved)
        # moves that other processes have committed are part of the change that this process has just seen
        (by_others,) = connection.execute(_MOVED_SINCE, (self._seen,)).fetchone()
        left = moved - by_others / 1e6
        if self._wall.is_sharp and abs(left) >= SET_SECONDS:
            self._moved = left
            _move(connection, self._wall.now, round(left * 1e6))
            self._seen_now = _last_move(connection)

    def commit(self) -> None:
        """The transaction was committed."""
        self._wall.keep()
        if self._wall.is_sharp:
            self._seen = self._seen_now
        if self._moved:
            _log.warning("the clock of this machine was set by %+.0f s: deadlines have moved with it", self._moved)

    @property
    def was_set(self) -> bool:
        """See `WallClock.was_set`."""
        return self._wall.was_set

    def current(self, at: datetime) -> datetime:
        """See `WallClock.current`."""
        return self._wall.current(at)

    def older_than(self, seconds: float) -> str:
        """See `WallClock.older_than`."""
        return self._wall.older_than(seconds)

    def age(self, prediction_id: str, created_at: datetime) -> float:
        """See `WallClock.age`."""
        return self._wall.age(prediction_id, created_at)


def bring_near(connection: sqlite3.Connection, at: datetime) -> None:
    """Limit the times of rows to what a rule can have set: the wall clock was set back while no process ran."""
    connection.execute(_NEAR_DEADLINES, (to_micros(at),))
    connection.execute(_COPY_DEADLINES)
    connection.execute(_NEAR_READY, (to_micros(at), to_micros(at + LONGEST_BACKOFF)))
    connection.execute(_NEAR_SUBMITS, (to_micros(at),))


def _move(connection: sqlite3.Connection, at: datetime, by: int) -> None:
    connection.execute(_NOTE_MOVE, (to_micros(at), by, behind(_newest_id(connection))))
    connection.execute(_FORGET_MOVES, (MOVES_KEPT,))
    for statement in (
        _MOVE_DEADLINES,
        _MOVE_READY,
        _MOVE_SESSIONS,
        _MOVE_DUTIES,
        _MOVE_NODES,
        _MOVE_SUBMITS,
        _MOVE_KEYS,
        _MOVE_SIGN_INS,
        _MOVE_BULK,
    ):
        connection.execute(statement, (by,))
    connection.execute(_COPY_DEADLINES)
    connection.execute(_NEAR_READY, (to_micros(at), to_micros(at + LONGEST_BACKOFF)))


def _newest_id(connection: sqlite3.Connection) -> str:
    (newest,) = connection.execute(_NEWEST_ID).fetchone()
    return str(newest)


def _last_move(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute(_LAST_MOVE).fetchone()
    return int(number)
