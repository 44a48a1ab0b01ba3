"""Successes of known rows are written by a few statements for all of them; those of first attempts that only return,
as most do, with nothing but what differs between them.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import HalleyError, WrongState
from halley.predictions.lifecycle import conclude_returned
from halley.predictions.queue import Finished, Lease, Returned
from halley.predictions.records import Prediction, encode_output
from halley.predictions.status import Fact, Status
from halley.store.sqlite import changes
from halley.store.sqlite.changes import Conclusion, LeaseGuard
from halley.store.sqlite.event_rows import INSERT_EVENT, INSERT_EVENTS, MOST_JOINED_BYTES, RETURNED, Row, event_rows
from halley.store.sqlite.many_rows import ManyRows, Portions
from halley.store.sqlite.queue import finish_one
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import Live

END: Final = (
    "UPDATE predictions SET status = 'succeeded', revision = ?, attempts = ?, fence = ?, started_at = ?,"
    " completed_at = ?, last_seq = ?, has_progress = ?, metrics = ?, output = ?, logs = ?, files = ?"
    " WHERE number = ? AND id = ? AND revision = ? AND submit_state IS NULL"
)
END_RETURNED: Final = (
    "UPDATE predictions SET status = 'succeeded', revision = 2, attempts = 1, fence = 1, started_at = ?,"
    " completed_at = ?, last_seq = 4, has_progress = 1, metrics = ?, output = ?"
    " WHERE number = ? AND id = ? AND revision = 1 AND submit_state IS NULL"
)
_RELEASE: Final = Portions("DELETE FROM queue WHERE session_id = ? AND fence = ? AND prediction_id IN ({})", "?")
_RETURNED_EVENTS: Final = ManyRows(INSERT_EVENT.partition(" VALUES ")[0], f"(?, ?, 4, 1, '{RETURNED}', ?, ?, 0, ?)")
_STARTING: Final = Status.STARTING
_SUCCEEDED: Final = Fact.SUCCEEDED

_encode: Final = msgspec.json.Encoder().encode


class _NotAsExpected(Exception):
    """A row is not as it was kept: the transaction must be undone."""


class _Ends:
    """Successes of known rows that are not written yet."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._holder = "", 0  # of all their leases: session and fence
        self._ids: list[str] = []
        self._rows: list[Row] = []
        self._events: list[Row] = []
        self._returned_rows: list[Row] = []
        self._returned_events: list[Row] = []

    def add(self, counters: QueueCounters, live: Live, lease: Lease, how: Conclusion | Returned) -> Finished | None:
        """The outcome, once it is written. None if it is another than success: for a row that may not be as it was."""
        holder = lease.session_id, lease.fence
        if holder != self._holder:
            self.write()
            self._holder = holder
        ended = self._add_returned(counters, live, how) if isinstance(how, Returned) else None
        if ended is None:
            ended = self._add(counters, live, changes.conclusion_of(how) if isinstance(how, Returned) else how)
        if ended is None:
            return None
        self._ids.append(ended.id)
        return Finished(prediction=ended, applied=True)

    def _add_returned(self, counters: QueueCounters, live: Live, returned: Returned) -> Prediction | None:
        """The terminal prediction if nothing has happened to it but its first lease; None for any other."""
        before, output = live.prediction, returned.output
        is_first = before.revision == before.attempts == before.fence == live.attempt == live.fence == 1
        is_new = live.last_seq == 1 and before.status is _STARTING and before.webhook is None
        if not is_first or not is_new or output is None:
            return None
        data = encode_output(output)
        if len(data) > MOST_JOINED_BYTES:
            return None
        ended = conclude_returned(before, returned.at, returned.started_at, output, returned.predict_time)
        name, started_at, at = ended.id, to_micros(returned.started_at), to_micros(returned.at)
        self._returned_rows.append((started_at, at, _encode(ended.metrics), output, live.number, name))
        offset = counters.take_offsets(3, may_be_told=False)
        self._returned_events.append((offset + 2, name, at, data, started_at))
        return ended

    def _add(self, counters: QueueCounters, live: Live, conclusion: Conclusion) -> Prediction | None:
        revision = live.prediction.revision
        try:
            ended, events = changes.ended_by(self._connection, live, conclusion)
        except WrongState:
            return None
        first_seq = changes.count_events(live, events)
        offset = counters.take_offsets(len(events), may_be_told=ended.has_webhook)
        self._events += event_rows(ended, events, attempt=live.attempt, first_seq=first_seq, first_offset=offset)
        started = ended.started_at
        self._rows.append(
            (
                ended.revision,
                ended.attempts,
                ended.fence,
                None if started is None else to_micros(started),
                to_micros(conclusion.at),
                live.last_seq,
                1 if live.has_progress else 0,
                _encode(ended.metrics),
                ended.output,
                ended.logs,
                _encode(ended.files) if ended.files else None,
                live.number,
                ended.id,
                revision,
            )
        )
        return ended

    def write(self) -> None:
        """Write what was added."""
        count = len(self._ids)
        if not count:
            return
        connection, written = self._connection, 0
        if self._returned_rows:
            written += connection.executemany(END_RETURNED, self._returned_rows).rowcount
        if self._rows:
            written += connection.executemany(END, self._rows).rowcount
        released = sum(connection.execute(sql, (*self._holder, *ids)).rowcount for sql, ids in _RELEASE.of(self._ids))
        if not written == released == count:
            raise _NotAsExpected
        _RETURNED_EVENTS.insert(connection, self._returned_events)
        INSERT_EVENTS.insert(connection, self._events)
        self._ids, self._rows, self._events, self._returned_rows, self._returned_events = [], [], [], [], []


def finish_many(
    connection: sqlite3.Connection,
    finishes: Sequence[tuple[QueueCounters, LeaseGuard, Lease, Conclusion | Returned]],
) -> list[Finished | HalleyError]:
    """As `finish_one` for each."""
    outcomes: list[Finished | HalleyError] = []
    ends = _Ends(connection)
    for counters, guard, lease, how in finishes:
        live = counters.known.held_by(lease) if isinstance(how, Returned) or _is_plain(how) else None
        outcome: Finished | HalleyError | None = None
        if live is not None:
            outcome = ends.add(counters, live, lease, how)
        if outcome is None:
            ends.write()
            outcome = finish_one(connection, counters, guard, lease, how)
        outcomes.append(outcome)
    ends.write()
    return outcomes


def _is_plain(conclusion: Conclusion) -> bool:
    return conclusion.fact is _SUCCEEDED and conclusion.error is conclusion.reason is None
