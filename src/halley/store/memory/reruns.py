"""Reruns, and what a prediction is linked to: `RerunStore` in dictionaries."""

from datetime import datetime

from halley.predictions.ports import Created, NewPrediction
from halley.predictions.records import outline_of
from halley.predictions.reruns import RELATED_LISTED, Relation, RelationKind
from halley.predictions.settlements import SettledHow
from halley.store.memory.entries import at_once
from halley.store.memory.settlements import MemorySettlements


class MemoryReruns(MemorySettlements):
    """Implements `predictions.reruns.RerunStore`."""

    @at_once
    def rerun(self, new: NewPrediction, of: str) -> Created:
        return self.rerun_one(new, of)

    def rerun_one(self, new: NewPrediction, of: str) -> Created:
        """See RerunStore.rerun."""
        created = self.create_one(new)
        if not created.replayed:
            self.tables.reruns.setdefault(created.prediction.id, (of, created.prediction.created_at))
        return created

    async def related(self, prediction_id: str, account_id: str, limit: int = RELATED_LISTED) -> list[Relation]:
        if await self.get(prediction_id, account_id) is None:
            return []
        reruns, settled = self.tables.reruns, self.tables.settlements
        found: list[Relation | None] = []
        if prediction_id in reruns:
            found.append(self._relation("rerun_of", *reruns[prediction_id]))
        settles = [one for one in settled.values() if one.linked_id == prediction_id]
        found += [self._relation("continues", one.prediction_id, one.at, one.how) for one in settles]
        of_it = sorted((new, at) for new, (of, at) in reruns.items() if of == prediction_id)
        found += [self._relation("rerun", new, at) for new, at in of_it[::-1][:limit]]
        if (by := settled.get(prediction_id)) is not None:
            found.append(self._relation("continued_by", by.linked_id, by.at, by.how))
        return [one for one in found if one is not None and one.prediction.account_id == account_id]

    def _relation(self, kind: RelationKind, other: str, at: datetime, how: SettledHow | None = None) -> Relation | None:
        entry = self._entries.get(other)
        row = outline_of(None if entry is None else entry.prediction)
        return None if row is None else Relation(kind=kind, prediction=row, at=at, how=how)
