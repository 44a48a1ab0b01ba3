"""Links between predictions: `SettlementStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.errors import Conflict, HalleyError, NotFound, WrongState
from halley.predictions.ports import NewPrediction
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.settlements import Link, Settled, SettledHow, Settlement
from halley.predictions.status import EventKind, SubmitState
from halley.store.sqlite.changes import note_event
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.predictions import create_one
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import COLUMNS_WITH_SHORT_INPUT, Live, read_prediction, select_live

_COLUMNS: Final = "prediction_id, linked_id, how, at"
_OF: Final = f"SELECT {_COLUMNS} FROM settlements WHERE prediction_id = ?"
_OF_MANY: Final = f"SELECT {_COLUMNS} FROM settlements WHERE prediction_id IN (SELECT value FROM json_each(?))"
_CONTINUED: Final = "SELECT prediction_id FROM settlements WHERE linked_id = ?"
_PUT: Final = f"INSERT INTO settlements ({_COLUMNS}) VALUES (?, ?, ?, ?)"
_HOLDERS: Final = "SELECT id FROM predictions WHERE handle = ? AND provider = ?"
_UNCLEAR: Final = (
    f"SELECT {COLUMNS_WITH_SHORT_INPUT} FROM predictions WHERE submit_state IN (?1, ?2) AND provider = ?3"
    " AND (submit_state = ?1 OR ((completed_at IS NULL OR completed_at >= ?4) AND NOT EXISTS (SELECT 1 FROM settlements"
    " WHERE prediction_id = predictions.id OR (linked_id = predictions.id AND how = 'found'))))"
    " ORDER BY id LIMIT ?5"
)


class SettlementRows(SqlitePart):
    """Implements `predictions.settlements.SettlementStore`."""

    def settle(self, prediction_id: str, new: NewPrediction, how: SettledHow) -> Awaitable[Settled]:
        def forget(_: Settled) -> None:
            self._recent.forget(prediction_id)

        return self._writer.submit(_settle, self._counters, prediction_id, new, how, committed=forget)

    async def settlements(self, prediction_ids: Sequence[str]) -> Mapping[str, Settlement]:
        rows = self._reads.all(_OF_MANY, msgspec.json.encode(prediction_ids).decode())
        return {row[0]: _read(row) for row in rows}

    async def unclear(self, provider: str, ended_after: datetime, most: int) -> list[Prediction]:
        values = SubmitState.INTENDED, SubmitState.UNKNOWN, provider, to_micros(ended_after), most
        return await self._reads.elsewhere(_read_unclear, values)


def _settle(
    connection: sqlite3.Connection, counters: QueueCounters, prediction_id: str, new: NewPrediction, how: SettledHow
) -> Settled | HalleyError:
    first = select_live(connection, prediction_id)
    if first is None:
        return NotFound(f"There is no prediction {prediction_id}")
    if (row := connection.execute(_OF, (prediction_id,)).fetchone()) is not None:
        return Settled(settlement=_read(row), is_new=False)
    if not first.prediction.is_terminal or first.prediction.submit_state is not SubmitState.UNKNOWN:
        return WrongState(f"The outcome of prediction {prediction_id} is not unknown.")
    if (holder := _holder(connection, prediction_id, new.prediction)) is not None:
        return Conflict(f"The run {new.prediction.handle} at {new.prediction.provider} is that of prediction {holder}.")
    created = create_one(connection, counters, new)
    if isinstance(created, HalleyError):
        return created
    linked_id = created.prediction.id
    linked = select_live(connection, linked_id)
    if linked is None:
        raise AssertionError(f"{linked_id} was created one statement before")
    # the store's time, as that of all events
    settlement = Settlement(prediction_id=prediction_id, linked_id=linked_id, how=how, at=created.prediction.created_at)
    connection.execute(_PUT, (prediction_id, linked_id, how, to_micros(settlement.at)))
    _note(connection, counters, first, settlement, Link(how=how, prediction=linked_id, is_first=True))
    _note(connection, counters, linked, settlement, Link(how=how, prediction=prediction_id, is_first=False))
    return Settled(settlement=settlement, is_new=True)


def _holder(connection: sqlite3.Connection, prediction_id: str, new: Prediction) -> str | None:
    """Another prediction that has the run of the new one; those that it continues may have it."""
    if new.handle is None:
        return None
    holders = {found for (found,) in connection.execute(_HOLDERS, (new.handle, new.provider))}
    earlier: str | None = prediction_id
    while holders and earlier is not None:
        holders.discard(earlier)
        row = connection.execute(_CONTINUED, (earlier,)).fetchone()
        earlier = None if row is None else row[0]
    return min(holders, default=None)


def _note(
    connection: sqlite3.Connection, counters: QueueCounters, live: Live, settlement: Settlement, link: Link
) -> None:
    event = NewEvent(kind=EventKind.LINKED, at=settlement.at, data=msgspec.json.encode(link))
    note_event(connection, counters, live, event)


def _read(row: Sequence[Any]) -> Settlement:
    return Settlement(prediction_id=row[0], linked_id=row[1], how=row[2], at=from_micros(row[3]))


def _read_unclear(connection: sqlite3.Connection, values: tuple[object, ...]) -> list[Prediction]:
    return [read_prediction(row) for row in connection.execute(_UNCLEAR, values)]
