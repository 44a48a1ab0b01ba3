"""Repeated creates: `RepeatStore` in SQL, and the handling of a create's key."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable
from datetime import datetime
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import KeyReused
from halley.ids import first_id_at
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.repeats import EQUALS_LOOKED_AT, Earlier, How, IdempotencyKey
from halley.predictions.status import EventKind
from halley.store.sqlite.changes import note_event
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.reads import SELECT_PREDICTION
from halley.store.sqlite.rows import PREDICTION_COLUMNS_WITHOUT_LOGS, read_prediction, select_live

_SELECT_KEY: Final = (
    "SELECT request_digest, prediction_id FROM idempotency WHERE account_id = ? AND key = ? AND expires_at > ?"
)
_PUT_KEY: Final = (  # an existing one has expired
    "INSERT OR REPLACE INTO idempotency (account_id, key, request_digest, prediction_id, expires_at)"
    " VALUES (?, ?, ?, ?, ?)"
)
_FORGET_KEYS: Final = (
    "DELETE FROM idempotency WHERE (account_id, key) IN"
    " (SELECT account_id, key FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"
)
# The index finds the newest; cheap columns are compared first, because `input` may be on separate pages.
_SELECT_EQUAL: Final = (
    f"SELECT {PREDICTION_COLUMNS_WITHOUT_LOGS} FROM predictions WHERE account_id = ?1 AND id > max(?2,"
    " coalesce((SELECT id FROM predictions WHERE account_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3), ''))"
    " AND version = ?4 AND key_id IS ?5 AND kind = ?6 AND created_at BETWEEN ?7 AND ?8 AND source = ?9"
    " AND deployment IS ?10 AND webhook IS ?11 AND deadline_at - created_at IS ?12"
    " AND length(input) = ?13 AND input = ?14"
    # one that continues another, or runs it again, was not created by a client's create
    " AND NOT EXISTS (SELECT 1 FROM settlements WHERE linked_id = predictions.id)"
    " AND NOT EXISTS (SELECT 1 FROM reruns WHERE prediction_id = predictions.id) ORDER BY id DESC"
)
_ADD_REPEAT: Final = (
    "INSERT INTO repeated_creates (prediction_id, count) VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1"
)


class RepeatRows(SqlitePart):
    """Implements `predictions.repeats.RepeatStore`."""

    async def made_under(self, account_id: str, key: str, at: datetime) -> Earlier | None:
        return await self._reads.here(_made_under, account_id, key, at)

    async def find_equal(self, wanted: Prediction, after: datetime, before: datetime) -> list[Prediction]:
        return await self._reads.elsewhere(_find_equal, wanted, after, before)

    def note_repeat(self, prediction_id: str, at: datetime, how: How) -> Awaitable[Prediction | None]:
        return self._writer.submit(_note_repeat, self._counters, prediction_id, at, how, committed=self._refresh)

    def forget_idempotency_keys(self, at: datetime, limit: int) -> Awaitable[int]:
        return self._writer.submit(_forget_idempotency_keys, self._counters, at, limit)

    def _refresh(self, prediction: Prediction | None) -> None:
        if prediction is not None:
            self._recent.put(prediction)


def made_before(connection: sqlite3.Connection, new: NewPrediction) -> Created | KeyReused | None:
    """The prediction of this create's key, or why the key may not be used; None if it is free."""
    mine, prediction = new.idempotency, new.prediction
    if mine is None:
        return None
    earlier = _made_under(connection, prediction.account_id, mine.key, prediction.created_at)
    if earlier is None:
        return None
    if earlier.digest != mine.digest:
        return KeyReused.of(earlier.prediction.id)
    return Created(prediction=earlier.prediction, replayed=True)


def keep_key(connection: sqlite3.Connection, prediction: Prediction, mine: IdempotencyKey) -> None:
    """Store the key with the prediction that is created in this transaction."""
    values = (prediction.account_id, mine.key, mine.digest, prediction.id, to_micros(mine.expires_at))
    connection.execute(_PUT_KEY, values)


def _made_under(connection: sqlite3.Connection, account_id: str, key: str, at: datetime) -> Earlier | None:
    found = connection.execute(_SELECT_KEY, (account_id, key, to_micros(at))).fetchone()
    if found is None:
        return None
    row = connection.execute(SELECT_PREDICTION, (found[1],)).fetchone()
    return None if row is None else Earlier(prediction=read_prediction(row), digest=found[0])


def _find_equal(
    connection: sqlite3.Connection, wanted: Prediction, after: datetime, before: datetime
) -> list[Prediction]:
    deadline = None if wanted.deadline_at is None else to_micros(wanted.deadline_at) - to_micros(wanted.created_at)
    values = (
        # without its last character it is smaller than the first id itself
        *(wanted.account_id, first_id_at(after)[:-1], EQUALS_LOOKED_AT),
        *(wanted.version, wanted.key_id, wanted.kind.value, to_micros(after), to_micros(before)),
        *(wanted.source.value, wanted.deployment, wanted.webhook, deadline, len(wanted.input), wanted.input),
    )
    found = [read_prediction(row) for row in connection.execute(_SELECT_EQUAL, values)]
    return [row for row in found if row.webhook_events_filter == wanted.webhook_events_filter]


def _note_repeat(
    connection: sqlite3.Connection, counters: QueueCounters, prediction_id: str, at: datetime, how: How
) -> Prediction | None:
    live = select_live(connection, prediction_id)
    if live is None:
        return None
    event = NewEvent(kind=EventKind.REPEATED, at=at, data=msgspec.json.encode(how))
    connection.execute(_ADD_REPEAT, (prediction_id,))
    noted = note_event(connection, counters, live, event)
    return msgspec.structs.replace(noted, repeated_creates=noted.repeated_creates + 1)


def _forget_idempotency_keys(connection: sqlite3.Connection, counters: QueueCounters, at: datetime, limit: int) -> int:
    return connection.execute(_FORGET_KEYS, (to_micros(counters.clock.current(at)), limit)).rowcount
