"""Which predictions have waiting clients, and at which node: `AttendanceStore` in SQL."""

import sqlite3
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Final

from halley.clock import to_micros
from halley.predictions.attendance import KeptAttendance
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters

_ADD: Final = "INSERT INTO attendance (prediction_id, node_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_DROP: Final = "DELETE FROM attendance WHERE prediction_id = ? AND node_id = ?"
_LIST: Final = "SELECT DISTINCT prediction_id FROM attendance ORDER BY prediction_id"
_RENEW: Final = (
    "INSERT INTO attending_nodes (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET expires_at = ?2"
)
# rows of unknown nodes come from before nodes had leases
_LOST_NODES: Final = (
    "SELECT id FROM attending_nodes WHERE id != ?1 AND (?3 OR expires_at <= ?2) UNION"
    " SELECT node_id FROM attendance WHERE node_id != ?1 AND node_id NOT IN (SELECT id FROM attending_nodes)"
)
_ROWS_OF: Final = "DELETE FROM attendance WHERE node_id = ? RETURNING prediction_id"
_FORGET_NODE: Final = "DELETE FROM attending_nodes WHERE id = ?"
_YIELD: Final = (
    "DELETE FROM attendance WHERE prediction_id = ?1 AND node_id = ?2"
    " AND EXISTS (SELECT 1 FROM attendance WHERE prediction_id = ?1 AND node_id != ?2)"
)
_IS_ELSEWHERE: Final = "SELECT EXISTS (SELECT 1 FROM attendance WHERE prediction_id = ? AND node_id != ?)"


class AttendanceRows(SqlitePart):
    """Implements `predictions.attendance.AttendanceStore`."""

    def note_awaited(
        self, node_id: str, added: Sequence[str], dropped: Sequence[str], at: datetime, lease_seconds: float
    ) -> Awaitable[None]:
        return self._writer.submit(_note, self._counters, node_id, added, dropped, at, lease_seconds)

    def keep_awaited(
        self, node_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[KeptAttendance]:
        return self._writer.submit(_keep, self._counters, node_id, at, lease_seconds, alone)

    def yield_awaited(self, node_id: str, prediction_id: str) -> Awaitable[bool]:
        return self._writer.submit(_yield, node_id, prediction_id)

    async def awaited(self) -> list[str]:
        return await self._reads.elsewhere(_list)


def _note(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    node_id: str,
    added: Sequence[str],
    dropped: Sequence[str],
    at: datetime,
    lease_seconds: float,
) -> None:
    _renew(connection, counters, node_id, at, lease_seconds)
    connection.executemany(_ADD, [(prediction_id, node_id) for prediction_id in added])
    connection.executemany(_DROP, [(prediction_id, node_id) for prediction_id in dropped])


def _keep(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    node_id: str,
    at: datetime,
    lease_seconds: float,
    alone: bool,
) -> KeptAttendance:
    known = connection.execute("SELECT 1 FROM attending_nodes WHERE id = ?", (node_id,)).fetchone()
    now = to_micros(counters.clock.current(at))
    taken: set[str] = set()
    for (lost,) in connection.execute(_LOST_NODES, (node_id, now, alone)).fetchall():
        taken.update(prediction_id for (prediction_id,) in connection.execute(_ROWS_OF, (lost,)))
        connection.execute(_FORGET_NODE, (lost,))
    connection.executemany(_ADD, [(prediction_id, node_id) for prediction_id in taken])
    _renew(connection, counters, node_id, at, lease_seconds)
    return KeptAttendance(taken=tuple(sorted(taken)), was_lost=known is None)


def _yield(connection: sqlite3.Connection, node_id: str, prediction_id: str) -> bool:
    connection.execute(_YIELD, (prediction_id, node_id))
    (is_elsewhere,) = connection.execute(_IS_ELSEWHERE, (prediction_id, node_id)).fetchone()
    return bool(is_elsewhere)


def _renew(
    connection: sqlite3.Connection, counters: QueueCounters, node_id: str, at: datetime, lease_seconds: float
) -> None:
    expires_at = counters.clock.current(at) + timedelta(seconds=lease_seconds)
    connection.execute(_RENEW, (node_id, to_micros(expires_at)))


def _list(connection: sqlite3.Connection) -> list[str]:
    return [prediction_id for (prediction_id,) in connection.execute(_LIST)]
