"""Tests whether the store accepts writes: writes something as large as a create, and deletes it again."""

import sqlite3
from typing import Final

from halley.store.sqlite.parts import SqlitePart

_BYTES: Final = 16 * 2**10  # several pages: on a full disk one page may still fit where a create does not
_FILL: Final = f"INSERT INTO probe (data) VALUES (zeroblob({_BYTES}))"  # noqa: S608 - a constant of our own
_CLEAR: Final = "DELETE FROM probe"


class ProbeRows(SqlitePart):
    """Called to find out whether this server can accept work."""

    @property
    def fullness(self) -> str | None:
        """Why no more predictions may wait here, or None."""
        refusal = self._counters.refusal("")  # an account without predictions, so that only the limit for all counts
        return None if refusal is None else str(refusal)

    @property
    def refusals(self) -> int:
        """How many writes were refused because of the disk, or of another process, since the start."""
        return self._writer.refusals

    async def try_write(self) -> None:
        """Write something, durably.

        Raises:
            StorageFull, Overloaded: a create would be refused now, too.
        """
        await self._writer.submit(_run, _FILL)
        await self._writer.submit(_run, _CLEAR)


def _run(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)
