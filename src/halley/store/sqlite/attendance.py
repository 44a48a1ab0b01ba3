"""Which predictions have waiting clients: `AttendanceStore` in SQL."""

import sqlite3
from collections.abc import Awaitable, Sequence
from typing import Final

from halley.store.sqlite.parts import SqlitePart

_ADD: Final = "INSERT INTO awaited (prediction_id) VALUES (?) ON CONFLICT DO NOTHING"
_DROP: Final = "DELETE FROM awaited WHERE prediction_id = ?"
_LIST: Final = "SELECT prediction_id FROM awaited ORDER BY prediction_id"


class AttendanceRows(SqlitePart):
    """Fulfils `predictions.ports.AttendanceStore`."""

    def note_awaited(self, added: Sequence[str], dropped: Sequence[str]) -> Awaitable[None]:
        return self._writer.submit(_note, added, dropped)

    async def awaited(self) -> list[str]:
        return await self._reads.elsewhere(_list)


def _note(connection: sqlite3.Connection, added: Sequence[str], dropped: Sequence[str]) -> None:
    connection.executemany(_ADD, [(prediction_id,) for prediction_id in added])
    connection.executemany(_DROP, [(prediction_id,) for prediction_id in dropped])


def _list(connection: sqlite3.Connection) -> list[str]:
    return [prediction_id for (prediction_id,) in connection.execute(_LIST)]
