"""Creates and ends that follow each other in a transaction are written by a few statements for all of them.

Only usual ones: creates that have nothing optional, leased from the start or not, and successes of known rows. What the
statements here leave out, such rows have anyway. All others are run one by one, in their place. Where the database is
not as expected, an error undoes the transaction, and the writer runs its operations one by one.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import HalleyError, WrongState
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.queue import Finished, Lease
from halley.predictions.records import NewEvent, Prediction
from halley.predictions.status import EventKind, Fact, Kind, Status
from halley.store.sqlite import changes
from halley.store.sqlite.changes import Conclusion, LeaseGuard
from halley.store.sqlite.many_rows import ManyRows, Portions
from halley.store.sqlite.predictions import create_one
from halley.store.sqlite.queue import finish_one
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import INSERT_EVENT, INSERT_EVENTS, Live, Row, event_rows, waiting_flags
from halley.store.sqlite.writer import ManyOf, Operation

_optional: Final = attrgetter(
    *("kind", "status", "revision", "deployment", "priority", "handle", "submit_state", "attempts", "fence"),
    *("webhook", "webhook_events_filter", "deadline_at"),
)
_NOTHING_OPTIONAL: Final = (Kind.PREDICTION, Status.STARTING, 1, None, 0, None, None, 0, 0, None, None, None)
_given: Final = attrgetter("id", "account_id", "key_id", "model", "version", "provider", "input")

_COLUMNS: Final = (
    "INSERT INTO predictions (id, account_id, key_id, model, version, provider, input, source, created_with_wait,"
    " created_at, kind, status, revision, priority, attempts, fence, last_seq, has_progress)"
)
_INSERT: Final = ManyRows(_COLUMNS, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'prediction', 'starting', 1, 0, 1, 1, 1, 0)")
_INSERT_WAITING: Final = ManyRows(
    _COLUMNS, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'prediction', 'starting', 1, 0, 0, 0, 1, 0)"
)
_QUEUE: Final = (
    "INSERT INTO queue (prediction_id, version, account_id, priority, session_id, fence, attempt, ready_at)"
    " SELECT id, version, account_id, 0, ?, fence, attempts, created_at FROM predictions WHERE number > ?"
)
_CREATED: Final = (
    'INSERT INTO events ("offset", prediction_id, seq, attempt, kind, at, data, for_webhook)'
    " SELECT number + ?, id, 1, attempts, 'created', created_at, CAST('null' AS BLOB), 0"
    " FROM predictions WHERE number > ?"
)
_END: Final = (
    "UPDATE predictions SET status = 'succeeded', revision = ?, attempts = ?, fence = ?, started_at = ?,"
    " completed_at = ?, last_seq = ?, has_progress = ?, metrics = ?, output = ?, logs = ?"
    " WHERE number = ? AND id = ? AND revision = ? AND submit_state IS NULL"
)
_FILES: Final = "UPDATE predictions SET files = ? WHERE number = ?"
_RELEASE: Final = Portions("DELETE FROM queue WHERE session_id = ? AND fence = ? AND prediction_id IN ({})", "?")
_EVENT_COLUMNS, _, _ = INSERT_EVENT.partition(" VALUES ")
# the last events of a first attempt that did nothing but return: values are offset, id, time, and the output's data
_RETURNED: Final = ManyRows(
    _EVENT_COLUMNS,
    "(?, ?, 2, 1, 'started', ?, x'', 0), (?, ?, 3, 1, 'output_set', ?, ?, 0),"
    " (?, ?, 4, 1, 'finished', ?, CAST('{\"status\":\"succeeded\"}' AS BLOB), 0)",
)
_FINISHED: Final = b'{"status":"succeeded"}'
_AT: Final = 5  # the time in a row of events
_STARTED: Final = EventKind.STARTED
_OUTPUT_SET: Final = EventKind.OUTPUT_SET
_SUCCEEDED: Final = Fact.SUCCEEDED

_encode: Final = msgspec.json.Encoder().encode


class _NotAsExpected(Exception):
    """A row is not as it was kept: the transaction must be undone."""


class _Creates:
    """Usual creates that are not written yet: all leased by one session, or all without a lease."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._session_id: str | None = None
        self._predictions: list[Prediction] = []

    def add(self, counters: QueueCounters, new: Prediction, session_id: str | None) -> Created:
        """The outcome, once it is written."""
        if session_id != self._session_id:
            self.write(counters)
            self._session_id = session_id
        if session_id is None:
            self._predictions.append(new)
            counters.add_run(new.model)
            counters.add_waiting(new.version, new.account_id)
            return Created(prediction=new)
        prediction = msgspec.structs.replace(new, fence=1, attempts=1)
        self._predictions.append(prediction)
        counters.add_leased(prediction)
        lease = Lease(prediction_id=prediction.id, session_id=session_id, fence=1, attempt=1)
        return Created(prediction=prediction, lease=lease)

    def write(self, counters: QueueCounters) -> None:
        """Write what was added."""
        predictions, self._predictions = self._predictions, []
        if not predictions:
            return
        rows = [
            (*_given(new), new.source._value_, waiting_flags(new), to_micros(new.created_at)) for new in predictions
        ]
        session_id = self._session_id
        insert = _INSERT_WAITING if session_id is None else _INSERT
        # the numbers follow each other, because nothing else writes
        before = insert.insert(self._connection, rows) - len(rows)
        self._connection.execute(_QUEUE, (session_id, before))
        self._connection.execute(_CREATED, (counters.take_offsets(len(rows), may_be_told=False) - before - 1, before))
        numbered = enumerate(predictions, before + 1)
        if session_id is None:
            for number, prediction in numbered:
                counters.known.keep_waiting(Live(prediction, number, 1, False, None, 0, 0))
        else:
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
        session_id = new.session_id if new.session_id in counters.sessions else None
        may_be = session_id is not None or counters.refusal(new.prediction.account_id) is None
        if was_set or not may_be or not _is_usual(new):
            usual.write(counters)
            outcomes.append(create_one(connection, counters, new))
        else:
            outcomes.append(usual.add(counters, new.prediction, session_id))
    usual.write(creates[-1][0])
    return outcomes


def _is_usual(new: NewPrediction) -> bool:
    return (
        new.work_input is new.context is None
        and new.idempotency is None
        and not new.files
        and _optional(new.prediction) == _NOTHING_OPTIONAL
    )


class _Ends:
    """Successes of known rows that are not written yet."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._holder = "", 0  # of all their leases: session and fence
        self._rows: list[Row] = []
        self._files: list[Row] = []
        self._ids: list[str] = []
        self._events: list[Row] = []
        self._returns: list[Row] = []

    def add(self, counters: QueueCounters, live: Live, lease: Lease, conclusion: Conclusion) -> Finished | None:
        """The outcome, once it is written. None if it is another than success: for a row that may not be as it was."""
        holder, revision = (lease.session_id, lease.fence), live.prediction.revision
        if holder != self._holder:
            self.write()
            self._holder = holder
        try:
            ended, events = changes.ended_by(self._connection, live, conclusion)
        except WrongState:
            return None
        first_seq = changes.count_events(live, events)
        offset = counters.take_offsets(len(events), may_be_told=ended.has_webhook)
        if first_seq == 2 and live.attempt == 1 and _only_returns(ended, events):
            times = [to_micros(event.at) for event in events]
            self._returns.append(
                (
                    offset,
                    ended.id,
                    times[0],
                    offset + 1,
                    ended.id,
                    times[1],
                    events[1].data,
                    offset + 2,
                    ended.id,
                    times[2],
                )
            )
        else:
            rows = event_rows(ended, events, attempt=live.attempt, first_seq=first_seq, first_offset=offset)
            self._events += rows
            times = [row[_AT] for row in rows]
        started = ended.started_at
        self._rows.append(
            (
                ended.revision,
                ended.attempts,
                ended.fence,
                times[0] if started is events[0].at else None if started is None else to_micros(started),
                times[-1],  # the last event says that it has ended
                live.last_seq,
                1 if live.has_progress else 0,
                _encode(ended.metrics),
                ended.output,
                ended.logs,
                live.number,
                ended.id,
                revision,
            )
        )
        if ended.files:
            self._files.append((_encode(ended.files), live.number))
        self._ids.append(ended.id)
        return Finished(prediction=ended, applied=True)

    def write(self) -> None:
        """Write what was added."""
        if not self._rows:
            return
        connection = self._connection
        written = connection.executemany(_END, self._rows).rowcount
        released = sum(connection.execute(sql, (*self._holder, *ids)).rowcount for sql, ids in _RELEASE.of(self._ids))
        if not written == released == len(self._rows):
            raise _NotAsExpected
        if self._files:
            connection.executemany(_FILES, self._files)
        INSERT_EVENTS.insert(connection, self._events)
        _RETURNED.insert(connection, self._returns)
        self._rows, self._files, self._ids, self._events, self._returns = [], [], [], [], []


def finish_many(
    connection: sqlite3.Connection, finishes: Sequence[tuple[QueueCounters, LeaseGuard, Lease, Conclusion]]
) -> list[Finished | HalleyError]:
    """As `finish_one` for each."""
    outcomes: list[Finished | HalleyError] = []
    ends = _Ends(connection)
    for counters, guard, lease, conclusion in finishes:
        live = counters.known.held_by(lease) if _is_plain(conclusion) else None
        outcome: Finished | HalleyError | None = None
        if live is not None:
            outcome = ends.add(counters, live, lease, conclusion)
        if outcome is None:
            ends.write()
            outcome = finish_one(connection, counters, guard, lease, conclusion)
        outcomes.append(outcome)
    ends.write()
    return outcomes


def _only_returns(ended: Prediction, events: Sequence[NewEvent]) -> bool:
    """Whether the events are those of `_RETURNED`."""
    if len(events) != 3 or ended.webhook is not None:
        return False
    first, second, last = events
    return first.kind is _STARTED and not first.data and second.kind is _OUTPUT_SET and last.data == _FINISHED


def _is_plain(conclusion: Conclusion) -> bool:
    return conclusion.fact is _SUCCEEDED and conclusion.error is conclusion.reason is None


TOGETHER: Final[Mapping[Operation, ManyOf]] = {create_one: create_many, finish_one: finish_many}
"""For the writer."""
