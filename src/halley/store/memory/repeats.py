"""Creates that come more than once, in dictionaries."""

from datetime import datetime

import msgspec

from halley.errors import KeyReused
from halley.predictions.ports import NewPrediction
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.repeats import EQUALS_LOOKED_AT, Earlier, How
from halley.predictions.status import EventKind
from halley.store.memory.entries import at_once
from halley.store.memory.tables import MemoryPart, MemoryTables


class MemoryRepeats(MemoryPart):
    """Implements `predictions.repeats.RepeatStore`."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self._keys_used = tables.keys_used

    async def made_under(self, account_id: str, key: str, at: datetime) -> Earlier | None:
        return self._made_under(account_id, key, at)

    async def find_equal(self, wanted: Prediction, after: datetime, before: datetime) -> list[Prediction]:
        rows = [entry.prediction for _, entry in sorted(self._entries.items(), reverse=True)]
        linked = {*self.tables.reruns, *(one.linked_id for one in self.tables.settlements.values())}
        rows = [row for row in rows if row.account_id == wanted.account_id][:EQUALS_LOOKED_AT]
        return [
            row
            for row in rows
            if after <= row.created_at <= before and _words(row) == _words(wanted) and row.id not in linked
        ]

    @at_once
    def note_repeat(self, prediction_id: str, at: datetime, how: How) -> Prediction | None:
        entry = self._entries.get(prediction_id)
        if entry is None:
            return None
        row = entry.prediction
        entry.change(msgspec.structs.replace(row, repeated_creates=row.repeated_creates + 1))
        entry.note(NewEvent(kind=EventKind.REPEATED, at=at, data=msgspec.json.encode(how)), self._log)
        return entry.prediction

    @at_once
    def forget_idempotency_keys(self, at: datetime, limit: int) -> int:
        expired = [used for used, (key, _) in self._keys_used.items() if key.expires_at <= at][:limit]
        for used in expired:
            del self._keys_used[used]
        return len(expired)

    def _made_before(self, new: NewPrediction) -> Prediction | None:
        mine = new.idempotency
        if mine is None:
            return None
        earlier = self._made_under(new.prediction.account_id, mine.key, new.prediction.created_at)
        if earlier is None:
            return None
        if earlier.digest != mine.digest:
            raise KeyReused.of(earlier.prediction.id)
        return earlier.prediction

    def _made_under(self, account_id: str, key: str, at: datetime) -> Earlier | None:
        used = self._keys_used.get((account_id, key))
        if used is None or used[0].expires_at <= at:
            return None
        entry = self._entries.get(used[1])
        return None if entry is None else Earlier(prediction=entry.prediction, digest=used[0].digest)


def _words(row: Prediction) -> tuple[object, ...]:
    """The request and its account, for comparison."""
    deadline = None if row.deadline_at is None else row.deadline_at - row.created_at
    asked = (row.version, row.input, row.webhook, row.webhook_events_filter, row.deployment, deadline)
    return (row.key_id, row.kind, row.source, *asked)
