"""Reruns, and what a prediction is linked to: `RerunStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable
from typing import Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.errors import HalleyError
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.reruns import RELATED_LISTED, Relation, RelationKind
from halley.predictions.settlements import SettledHow
from halley.store.sqlite.predictions import PredictionRows, create_one
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import OUTLINE_COLUMNS, read_prediction

_PUT: Final = "INSERT INTO reruns (prediction_id, of_id, at) VALUES (?, ?, ?)"
_OUTLINES: Final = f"SELECT {OUTLINE_COLUMNS} FROM predictions WHERE id IN (SELECT value FROM json_each(?))"
_LINKS: Final = (
    "SELECT 'rerun_of', of_id, at, NULL FROM reruns WHERE prediction_id = ?1"
    " UNION ALL SELECT 'continues', prediction_id, at, how FROM settlements WHERE linked_id = ?1"
    " UNION ALL SELECT * FROM (SELECT 'rerun', prediction_id, at, NULL FROM reruns WHERE of_id = ?1"
    " ORDER BY prediction_id DESC LIMIT ?2)"
    " UNION ALL SELECT 'continued_by', linked_id, at, how FROM settlements WHERE prediction_id = ?1"
)
_Link = tuple[RelationKind, str, int, SettledHow | None]


class RerunRows(PredictionRows):
    """Implements `predictions.reruns.RerunStore`."""

    def rerun(self, new: NewPrediction, of: str) -> Awaitable[Created]:
        return self._writer.submit(rerun_one, self._counters, new, of, orphaned=self._give_back)

    async def related(self, prediction_id: str, account_id: str, limit: int = RELATED_LISTED) -> list[Relation]:
        return await self._reads.here(_related, prediction_id, account_id, limit)


def rerun_one(
    connection: sqlite3.Connection, counters: QueueCounters, new: NewPrediction, of: str
) -> Created | HalleyError:
    """See RerunStore.rerun."""
    created = create_one(connection, counters, new)
    if isinstance(created, HalleyError) or created.replayed:
        return created
    connection.execute(_PUT, (created.prediction.id, of, to_micros(created.prediction.created_at)))
    return created


def _related(connection: sqlite3.Connection, prediction_id: str, account_id: str, limit: int) -> list[Relation]:
    links: list[_Link] = connection.execute(_LINKS, (prediction_id, limit)).fetchall()
    if not links:
        return []
    ids = msgspec.json.encode([prediction_id, *(link[1] for link in links)]).decode()
    rows = {row[0]: read_prediction(row) for row in connection.execute(_OUTLINES, (ids,)) if row[1] == account_id}
    if prediction_id not in rows:
        return []
    return [
        Relation(kind=kind, prediction=rows[other], at=from_micros(at), how=how)
        for kind, other, at, how in links
        if other in rows
    ]
