"""Predictions with data, and its removal, in dictionaries."""

from collections.abc import Sequence
from datetime import datetime

from halley.ids import first_id_at
from halley.predictions.lifecycle import without_data
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.status import LASTING, EventKind, Source
from halley.retention.ports import DataGroup, OwnerKind, Removed
from halley.store.memory.entries import Entry, at_once
from halley.store.memory.repeats import MemoryRepeats
from halley.store.memory.shelves import MemoryLedger
from halley.store.memory.tables import MemoryTables

_Key = tuple[Source, str, str | None]


class MemoryData(MemoryRepeats, MemoryLedger):
    """Implements `retention.ports.DataStore`, but `get`."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self.files = tables.files
        self.deliveries = tables.deliveries

    async def data_groups(self) -> list[DataGroup]:
        oldest: dict[_Key, datetime] = {}
        for completed_at, row in self._with_data():
            oldest.setdefault(_key_of(row), completed_at)
        return [
            DataGroup(source=source, model=model, key_id=key_id, oldest_completed_at=at)
            for (source, model, key_id), at in oldest.items()
        ]

    async def due(self, group: DataGroup, completed_by: datetime, limit: int) -> list[str]:
        return self._due(group, completed_by)[:limit]

    async def due_with_files(self, group: DataGroup, completed_by: datetime) -> list[str]:
        with_files = {item[1] for item in self.owned if item[0] == "prediction"}
        return [one for one in self._due(group, completed_by) if one in with_files]

    @at_once
    def remove_data(self, prediction_ids: Sequence[str], at: datetime) -> Removed:
        removed: list[str] = []
        freed: list[str] = []
        for prediction_id in prediction_ids:
            entry = self._entries.get(prediction_id)
            if entry is None or not self._can_go(entry.prediction):
                continue
            entry.prediction = without_data(entry.prediction, at)
            if entry.place is not None:
                entry.place.work_input = entry.place.context = None
            entry.record([NewEvent(kind=EventKind.DATA_REMOVED, at=at)], self._log)
            self._forget(entry)
            self.deliveries.drop_settled_bodies(prediction_id)
            freed += [sha256 for sha256 in self.drop("prediction", prediction_id) if sha256 not in freed]
            removed.append(prediction_id)
        return Removed(prediction_ids=tuple(removed), freed=tuple(freed))

    @at_once
    def remove_events(self, limit: int) -> int:
        del limit  # `remove_data` leaves none behind
        return 0

    async def stray_owners(self, owner_kind: OwnerKind, made_before: datetime, limit: int | None) -> list[str]:
        owners = sorted({item[1] for item in self.owned if item[0] == owner_kind})
        return [one for one in owners if await self._is_stray(owner_kind, one, first_id_at(made_before))][:limit]

    async def _is_stray(self, owner_kind: OwnerKind, owner_id: str, made_before: str) -> bool:
        if owner_kind == "file":
            return owner_id < made_before and await self.files.get(owner_id) is None
        entry = self._entries.get(owner_id)
        if entry is None or not entry.prediction.is_terminal:
            return False
        return owner_kind == "input" or entry.prediction.data_removed_at is not None

    async def last_recorded_at(self) -> datetime | None:
        return self._log[-1].at if self._log else None

    def _due(self, group: DataGroup, completed_by: datetime) -> list[str]:
        key = (group.source, group.model, group.key_id)
        found = [row for at, row in self._with_data() if _key_of(row) == key and at <= completed_by]
        return [row.id for row in found if self._can_go(row)]

    def _can_go(self, row: Prediction) -> bool:
        return row.is_terminal and row.data_removed_at is None and not self.deliveries.is_untold(row.id)

    def _with_data(self) -> list[tuple[datetime, Prediction]]:
        rows = [entry.prediction for entry in self._entries.values()]
        found = [(row.completed_at, row) for row in rows if row.completed_at and row.data_removed_at is None]
        return sorted(found, key=lambda pair: pair[0])

    def _forget(self, entry: Entry) -> None:
        entry.events = [event for event in entry.events if event.kind in LASTING]
        of_others = [e for e in self._log if e.prediction_id != entry.prediction.id or e.kind in LASTING]
        self._log[:] = of_others  # in place: webhooks use the same list


def _key_of(row: Prediction) -> _Key:
    return row.source, row.model, row.key_id
