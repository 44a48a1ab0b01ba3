"""Reads on two connections that never write, beside the writer.

Reads by primary key run in the event loop's thread, because handing one to a thread costs ten times the read. Reads of
many rows, or of a value above LARGE_BYTES, run in a thread, one at a time.
"""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter

from halley.errors import Overloaded
from halley.predictions.fingerprints import fingerprint
from halley.slots import Slots
from halley.store.sqlite.rows import OUTLINE_COLUMNS, PREDICTION_COLUMNS
from halley.store.sqlite.schema import connect
from halley.store.sqlite.writer import is_disk_fault
from halley.threads import run_to_completion

T = TypeVar("T")

SELECT_PREDICTION: Final = f"SELECT {PREDICTION_COLUMNS} FROM predictions WHERE id = ?"
SELECT_OUTLINE: Final = f"SELECT {OUTLINE_COLUMNS} FROM predictions WHERE id = ?"

LARGE_BYTES: Final = 2**20  # a value of 30 MiB would block the loop for 50 ms

_HERE_CACHE_KIB: Final = 1024
_THREAD_CACHE_KIB: Final = 1024


class Reads:
    """The reading connections. A statement here sees every commit that was acknowledged before it began."""

    def __init__(self, path: Path) -> None:
        self._here = connect(path, read_only=True, cache_kib=_HERE_CACHE_KIB)
        # a statement that meets a larger value raises DataError before it reads the value
        self._most_bytes = self._here.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGE_BYTES)
        self._other = connect(path, read_only=True, cache_kib=_THREAD_CACHE_KIB)
        self._other.create_function("error_group", 2, fingerprint, deterministic=True)
        self._one_at_a_time = CapacityLimiter(1)
        self._turns = Slots(1)

    def one(self, statement: str, *values: Any) -> Any:
        """The first row, or None. Statements must find at most one: an unfinished statement would block checkpoints."""
        return self._in_this_thread(_first, statement, values)

    def all(self, statement: str, *values: Any) -> list[Any]:
        """All rows, in this thread: for lists that are always short."""
        return self._in_this_thread(_all, statement, values)

    async def here(self, read: Callable[..., T], *args: Any) -> T:
        """Run `read(connection, *args)` in this thread; in another one if it meets a large value."""
        try:
            return read(self._here, *args)
        except sqlite3.DataError:
            return await self.elsewhere(read, *args)
        except sqlite3.OperationalError as error:
            raise _as_own_error(error) from error

    async def row(self, statement: str, *values: Any) -> Any:
        """The first row of any size, or None. For statements as those of `one`."""
        return await self.here(_first, statement, values)

    async def elsewhere(self, read: Callable[..., T], *args: Any) -> T:
        """Run `read(connection, *args)` in a thread, on one snapshot."""
        return await run_to_completion(self._on_one_snapshot, read, args, limiter=self._one_at_a_time)

    async def in_turn(self, account_id: str, read: Callable[..., T], *args: Any) -> T:
        """As `elsewhere`, for one step of what looks at many rows: one such step at a time, the accounts in turns.

        So other reads wait for one step at most, however many searches there are; and a search of one account waits for
        two steps of another account before each of its own at most, however many searches that one has.
        """
        async with self._turns.hold(account=account_id):
            return await self.elsewhere(read, *args)

    async def close(self) -> None:
        """Close both; the second after a running read whose caller was cancelled."""
        self._here.close()
        async with self._one_at_a_time:
            self._other.close()

    def _in_this_thread(self, read: Callable[..., T], statement: str, values: tuple[Any, ...]) -> T:
        try:
            try:
                return read(self._here, statement, values)
            except sqlite3.DataError:  # for example a long schema: rare enough to be read here
                self._here.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._most_bytes)
                try:
                    return read(self._here, statement, values)
                finally:
                    self._here.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGE_BYTES)
        except sqlite3.OperationalError as error:
            raise _as_own_error(error) from error

    def _on_one_snapshot(self, read: Callable[..., T], args: tuple[Any, ...]) -> T:
        connection: sqlite3.Connection = self._other
        try:
            connection.execute("BEGIN")
            try:
                return read(connection, *args)
            finally:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise _as_own_error(error) from error


def _first(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> Any:
    return connection.execute(statement, values).fetchone()


def _all(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> list[Any]:
    return connection.execute(statement, values).fetchall()


def _as_own_error(error: sqlite3.OperationalError) -> Exception:
    """Our own error if the disk is the reason, so that callers can retry."""
    if is_disk_fault(error):
        return Overloaded(f"The disk with the database has a fault, nothing could be read: {error}.")
    return error
