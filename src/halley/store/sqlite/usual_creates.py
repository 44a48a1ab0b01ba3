"""Creates that have nothing optional, leased from the start or not, are written by a few statements for all that have
the same account, key, model and version. What the statements here leave out, such rows have anyway.
"""

import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import HalleyError
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.queue import Lease
from halley.predictions.records import Prediction
from halley.predictions.status import Kind, Status
from halley.store.sqlite.many_rows import ManyRows
from halley.store.sqlite.predictions import create_one
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import Live, waiting_flags

_NOTHING_OPTIONAL: Final = (Kind.PREDICTION, Status.STARTING, 1, None, 0, None, None, 0, 0, None, None, None)
_members: Final = attrgetter(  # of all that are written together; first those of _NOTHING_OPTIONAL
    *("kind", "status", "revision", "deployment", "priority", "handle", "submit_state", "attempts", "fence"),
    *("webhook", "webhook_events_filter", "deadline_at"),
    *("created_with_wait", "cancel_abandoned", "account_id", "key_id", "model", "version", "provider", "source"),
)
_OPTIONAL: Final = len(_NOTHING_OPTIONAL)

# the first values are those of all rows
_COLUMNS: Final = (
    "INSERT INTO predictions (account_id, key_id, model, version, provider, source, created_with_wait, id, input,"
    " created_at, kind, status, revision, priority, attempts, fence, last_seq, has_progress)"
)
_VALUES: Final = "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?, ?, ?, 'prediction', 'starting', 1, 0, {lease}, 1, 0)"
INSERT_LEASED: Final = ManyRows(_COLUMNS, _VALUES.format(lease="1, 1"))
INSERT_WAITING: Final = ManyRows(_COLUMNS, _VALUES.format(lease="0, 0"))
_QUEUE: Final = (
    "INSERT INTO queue (prediction_id, version, account_id, priority, session_id, fence, attempt, ready_at)"
    " SELECT id, ?2, ?3, 0, ?4, ?5, ?5, created_at FROM predictions WHERE number > ?1"
)
_CREATED: Final = (
    'INSERT INTO events ("offset", prediction_id, seq, attempt, kind, at, data, for_webhook)'
    " SELECT number + ?2, id, 1, ?3, 'created', created_at, CAST('null' AS BLOB), 0 FROM predictions WHERE number > ?1"
)


class _Creates:
    """Usual creates that are not written yet: alike, and all leased by one session, or all without a lease."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._like: tuple[object, ...] = ()
        self._is_usual = False
        self._session_id: str | None = None
        self._room = 0  # so many more may wait
        self._predictions: list[Prediction] = []

    def add(self, counters: QueueCounters, new: NewPrediction) -> Created | None:
        """The outcome, once it is written; None if it is unusual: then all that was added is written."""
        prediction = new.prediction
        session_id = new.session_id if new.session_id in counters.sessions else None
        like = _members(prediction)
        if like != self._like or session_id != self._session_id:
            self.write(counters)
            self._like, self._session_id = like, session_id
            self._is_usual = like[:_OPTIONAL] == _NOTHING_OPTIONAL
            self._room = 0 if session_id is not None else counters.room(prediction.account_id)
        is_plain = new.work_input is new.context is None and new.idempotency is None and not (new.files or new.tags)
        if not is_plain or not self._is_usual or (session_id is None and not self._room):
            self.write(counters)
            self._like = ()
            return None
        if session_id is None:
            self._room -= 1
            self._predictions.append(prediction)
            return Created(prediction=prediction)
        prediction = msgspec.structs.replace(prediction, fence=1, attempts=1)
        self._predictions.append(prediction)
        lease = Lease(prediction_id=prediction.id, session_id=session_id, fence=1, attempt=1)
        return Created(prediction=prediction, lease=lease)

    def write(self, counters: QueueCounters) -> None:
        """Write what was added."""
        predictions, self._predictions = self._predictions, []
        if not predictions:
            return
        one, count, session_id = predictions[0], len(predictions), self._session_id
        of_all = one.account_id, one.key_id, one.model, one.version, one.provider, one.source._value_
        rows = [(new.id, new.input, to_micros(new.created_at)) for new in predictions]
        insert, fence = (INSERT_WAITING, 0) if session_id is None else (INSERT_LEASED, 1)
        # the numbers follow each other, because nothing else writes
        before = insert.insert(self._connection, rows, (*of_all, waiting_flags(one))) - count
        self._connection.execute(_QUEUE, (before, one.version, one.account_id, session_id, fence))
        offset = counters.take_offsets(count, may_be_told=False)
        self._connection.execute(_CREATED, (before, offset - before - 1, fence))
        numbered = enumerate(predictions, before + 1)
        if session_id is None:
            counters.add_run(one.model, count)
            counters.add_waiting(one.version, one.account_id, count)
            for number, prediction in numbered:
                counters.known.keep_waiting(Live(prediction, number, 1, False, None, 0, 0))
        else:
            counters.add_leased(one, count)
            for number, prediction in numbered:
                counters.known.keep(Live(prediction, number, 1, False, session_id, 1, 1))


def create_many(
    connection: sqlite3.Connection, creates: Sequence[tuple[QueueCounters, NewPrediction]]
) -> list[Created | HalleyError]:
    """As `create_one` for each."""
    outcomes: list[Created | HalleyError] = []
    usual = _Creates(connection)
    was_set = creates[0][0].clock.was_set
    for counters, new in creates:
        outcome = None if was_set else usual.add(counters, new)
        outcomes.append(create_one(connection, counters, new) if outcome is None else outcome)
    usual.write(creates[-1][0])
    return outcomes
