"""Reading beside the writer: two connections that never write.

Reads by primary key run in the event loop's thread, because handing one over costs ten times the read. Everything that
may touch many rows runs in a thread, one at a time.
"""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter

from halley.errors import Overloaded
from halley.store.sqlite.rows import OUTLINE_COLUMNS, PREDICTION_COLUMNS
from halley.store.sqlite.schema import connect
from halley.store.sqlite.writer import is_disk_fault
from halley.threads import to_its_end

T = TypeVar("T")

SELECT_PREDICTION: Final = f"SELECT {PREDICTION_COLUMNS} FROM predictions WHERE id = ?"
SELECT_OUTLINE: Final = f"SELECT {OUTLINE_COLUMNS} FROM predictions WHERE id = ?"

_HERE_CACHE_KIB: Final = 1024
_THREAD_CACHE_KIB: Final = 1024
_MMAP_BYTES: Final = 64 * 2**20


class Reads:
    """The reading connections. A statement here sees every commit that was acknowledged before it began."""

    def __init__(self, path: Path) -> None:
        self.here = connect(path, read_only=True, cache_kib=_HERE_CACHE_KIB, mmap_bytes=_MMAP_BYTES)
        self._other = connect(path, read_only=True, cache_kib=_THREAD_CACHE_KIB)
        self._one_at_a_time = CapacityLimiter(1)

    def one(self, statement: str, *values: Any) -> Any:
        """The first row, or None. Statements must find at most one: a half-read one would hold back checkpoints."""
        try:
            return self.here.execute(statement, values).fetchone()
        except sqlite3.OperationalError as error:
            raise _told(error) from error

    def all(self, statement: str, *values: Any) -> list[Any]:
        """All rows, in this thread: for lists that are short by nature."""
        try:
            return self.here.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise _told(error) from error

    async def elsewhere(self, read: Callable[..., T], *args: Any) -> T:
        """Run `read(connection, *args)` in a thread, on one snapshot."""
        return await to_its_end(self._on_one_snapshot, read, args, limiter=self._one_at_a_time)

    async def close(self) -> None:
        """Close both, the second when a read that nobody waits for any more is done with it."""
        self.here.close()
        async with self._one_at_a_time:
            self._other.close()

    def _on_one_snapshot(self, read: Callable[..., T], args: tuple[Any, ...]) -> T:
        connection: sqlite3.Connection = self._other
        try:
            connection.execute("BEGIN")
            try:
                return read(connection, *args)
            finally:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise _told(error) from error


def _told(error: sqlite3.OperationalError) -> Exception:
    """The error in our words where the reason is the disk: whoever waits for it to pass can."""
    if is_disk_fault(error):
        return Overloaded(f"The disk with the database has a fault, nothing could be read: {error}.")
    return error
