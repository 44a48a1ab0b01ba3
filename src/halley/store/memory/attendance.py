"""Which predictions have waiting clients, and at which node: `AttendanceStore` in a set."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from halley.predictions.attendance import KeptAttendance
from halley.store.memory.clock import MemoryClock
from halley.store.memory.entries import at_once
from halley.store.memory.tables import MemoryPart


class MemoryAttendance(MemoryPart):
    """Implements `predictions.attendance.AttendanceStore`."""

    _clock: MemoryClock

    @at_once
    def note_awaited(
        self, node_id: str, added: Sequence[str], dropped: Sequence[str], at: datetime, lease_seconds: float
    ) -> None:
        self.tables.attending_nodes[node_id] = self._clock.look(at) + timedelta(seconds=lease_seconds)
        self.tables.attendance.update((prediction_id, node_id) for prediction_id in added)
        self.tables.attendance.difference_update((prediction_id, node_id) for prediction_id in dropped)

    @at_once
    def keep_awaited(self, node_id: str, at: datetime, lease_seconds: float, *, alone: bool = False) -> KeptAttendance:
        at, rows, nodes = self._clock.look(at), self.tables.attendance, self.tables.attending_nodes
        was_lost = node_id not in nodes
        nodes[node_id] = at + timedelta(seconds=lease_seconds)
        live = {name for name, until in nodes.items() if name == node_id or (until > at and not alone)}
        lost = {row for row in rows if row[1] not in live}
        rows.difference_update(lost)
        rows.update((prediction_id, node_id) for prediction_id, _ in lost)
        for name in nodes.keys() - live:
            del nodes[name]
        return KeptAttendance(taken=tuple(sorted({row[0] for row in lost})), was_lost=was_lost)

    @at_once
    def yield_awaited(self, node_id: str, prediction_id: str) -> bool:
        rows = self.tables.attendance
        is_elsewhere = any(row[0] == prediction_id and row[1] != node_id for row in rows)
        if is_elsewhere:
            rows.discard((prediction_id, node_id))
        return is_elsewhere

    async def awaited(self) -> list[str]:
        return sorted({prediction_id for prediction_id, _ in self.tables.attendance})
