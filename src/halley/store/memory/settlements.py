"""Links between predictions: `SettlementStore` in dictionaries."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from halley.errors import Conflict, NotFound, WrongState
from halley.predictions.ports import NewPrediction
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.settlements import COMPARED_BYTES, Link, Settled, SettledHow, Settlement
from halley.predictions.status import EventKind, SubmitState
from halley.store.memory.entries import Entry, at_once
from halley.store.memory.predictions import MemoryPredictions


class MemorySettlements(MemoryPredictions):
    """Implements `predictions.settlements.SettlementStore`."""

    @at_once
    def settle(self, prediction_id: str, new: NewPrediction, how: SettledHow) -> Settled:
        entry = self._entries.get(prediction_id)
        if entry is None:
            raise NotFound(f"There is no prediction {prediction_id}")
        if (known := self.tables.settlements.get(prediction_id)) is not None:
            return Settled(settlement=known, is_new=False)
        row = entry.prediction
        if not row.is_terminal or row.submit_state is not SubmitState.UNKNOWN:
            raise WrongState(f"The outcome of prediction {prediction_id} is not unknown.")
        if (holder := self._holder(prediction_id, new.prediction)) is not None:
            run = f"{new.prediction.handle} at {new.prediction.provider}"
            raise Conflict(f"The run {run} is that of prediction {holder}.")
        created = self.create_one(new).prediction
        made = Settlement(prediction_id=prediction_id, linked_id=created.id, how=how, at=created.created_at)
        self.tables.settlements[prediction_id] = made
        self._note(entry, made, Link(how=how, prediction=created.id, is_first=True))
        self._note(self._entries[created.id], made, Link(how=how, prediction=prediction_id, is_first=False))
        return Settled(settlement=made, is_new=True)

    async def settlements(self, prediction_ids: Sequence[str]) -> Mapping[str, Settlement]:
        known = self.tables.settlements
        return {one: known[one] for one in prediction_ids if one in known}

    async def unclear(self, provider: str, ended_after: datetime, most: int) -> list[Prediction]:
        states = {SubmitState.INTENDED, SubmitState.UNKNOWN}
        known = self.tables.settlements
        left_out = {*known, *(one.linked_id for one in known.values() if one.how == "found")}
        rows = [entry.prediction for _, entry in sorted(self._entries.items())]
        rows = [row for row in rows if row.submit_state in states and row.provider == provider]
        found = [
            msgspec.structs.replace(
                row, output=None, logs="", input=row.input if len(row.input) <= COMPARED_BYTES else b""
            )
            for row in rows
            if row.submit_state is SubmitState.INTENDED
            or ((row.completed_at is None or row.completed_at >= ended_after) and row.id not in left_out)
        ]
        return found[:most]

    def _holder(self, prediction_id: str, new: Prediction) -> str | None:
        """Another prediction that has the run of the new one; those that it continues may have it."""
        if new.handle is None:
            return None
        rows = [entry.prediction for entry in self._entries.values()]
        holders = {row.id for row in rows if (row.handle, row.provider) == (new.handle, new.provider)}
        continued = {one.linked_id: one.prediction_id for one in self.tables.settlements.values()}
        earlier: str | None = prediction_id
        while earlier is not None:
            holders.discard(earlier)
            earlier = continued.get(earlier)
        return min(holders, default=None)

    def _note(self, entry: Entry, made: Settlement, link: Link) -> None:
        entry.note(NewEvent(kind=EventKind.LINKED, at=made.at, data=msgspec.json.encode(link)), self._log)
