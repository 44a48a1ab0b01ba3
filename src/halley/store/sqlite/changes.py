"""Steps that several operations share: load, record events, end. All run inside the writer's transaction."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import WrongState
from halley.predictions.lifecycle import conclude
from halley.predictions.progress import Progress, late_logs
from halley.predictions.queue import Lease, Returned
from halley.predictions.records import Event, Finish, NewEvent, Prediction
from halley.predictions.status import LASTING, TERMINAL, EventKind, Fact, Status
from halley.predictions.submits import MAY_RUN_ELSEWHERE
from halley.store.sqlite.event_rows import (
    INSERT_EVENT,
    INSERT_EVENTS,
    SELECT_EVENTS,
    SELECT_LASTING,
    Row,
    event_rows,
    events_in,
)
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.rows import (
    UPDATE_IF_UNCHANGED,
    UPDATE_PREDICTION,
    Live,
    changed_prediction_row,
    unchanged,
)

PROGRESS_KINDS: Final = frozenset(
    {
        EventKind.LOGGED,
        EventKind.OUTPUT_ADDED,
        EventKind.OUTPUT_SET,
        EventKind.METRIC_RECORDED,
        EventKind.ATTEMPT_LOST,
    }
)
DELETE_FROM_QUEUE: Final = "DELETE FROM queue WHERE prediction_id = ?"
_GIVE_BACK: Final = (
    "UPDATE queue SET session_id = NULL, attempt = max(attempt - 1, 0), ready_at = ? WHERE prediction_id = ?"
)
_IS_ALONE: Final = "SELECT alone FROM queue WHERE prediction_id = ?"
_ADD_LOGS: Final = "UPDATE predictions SET logs = logs || ?, revision = revision + 1 WHERE number = ?"
# without its deadline: a worker that must cancel its upstream run must be able to claim it
_MARK_ENDED: Final = "UPDATE queue SET is_ended = 1, deadline_at = NULL WHERE prediction_id = ?"

_NOTED: Final = (
    "UPDATE predictions SET revision = revision + 1, last_seq = last_seq + 1, attempts = ?, fence = ? WHERE number = ?"
)

_encode: Final = msgspec.json.Encoder().encode
_PLAIN_FINISH: Final = {status: _encode(Finish(status=status)) for status in TERMINAL}
_STARTED: Final = EventKind.STARTED  # reading a member from its class takes three times as long
_STARTING: Final = Status.STARTING


class LeaseGuard:
    """Checks whether a lease still holds a prediction.

    `unfenced` is a planted bug, for the test that must find it: every holder may write, even if the prediction has
    ended meanwhile.
    """

    def __init__(self, *, unfenced: bool = False) -> None:
        self._unfenced = unfenced

    def holds(self, live: Live, lease: Lease) -> bool:
        """True if session and fence are those of the queue entry."""
        if self._unfenced:
            live.prediction = msgspec.structs.replace(live.prediction, status=Status.PROCESSING)
            return True
        return live.fence == lease.fence and live.session_id == lease.session_id


def read_progress(connection: sqlite3.Connection, live: Live) -> Progress:
    """Its progress in the stored events."""
    progress = Progress()
    if live.has_progress:
        rows = connection.execute(SELECT_EVENTS, (live.prediction.id, 0, -1))
        progress.add(events_in(rows))
    return progress


def is_alone(connection: sqlite3.Connection, live: Live) -> bool:
    """Whether nothing else may run in its process."""
    row = connection.execute(_IS_ALONE, (live.prediction.id,)).fetchone()
    return row is not None and row[0] == 1


def add_late_logs(connection: sqlite3.Connection, live: Live, events: Sequence[NewEvent]) -> None:
    """Append log text of a prediction that has ended to its logs, unless its data was removed."""
    text = late_logs(events)
    row = live.prediction
    if text and row.data_removed_at is None:
        live.prediction = msgspec.structs.replace(row, logs=row.logs + text, revision=row.revision + 1)
        connection.execute(_ADD_LOGS, (text, live.number))


def note_start(live: Live, events: Sequence[NewEvent]) -> None:
    """Move it to `processing` if an event says that it started; a second attempt has started already."""
    at = _start(live.prediction, events)
    if at is not None:
        live.prediction = msgspec.structs.replace(live.prediction, status=Status.PROCESSING, started_at=at)


def _start(prediction: Prediction, events: Sequence[NewEvent]) -> datetime | None:
    """When it started, if one of these events says so and no earlier one did."""
    if prediction.status is _STARTING:
        for event in events:
            if event.kind is _STARTED:
                return event.at
    return None


class Conclusion(msgspec.Struct, frozen=True):
    """How a prediction ends: the fact, the time, and the last events. `predict_time` is in seconds."""

    fact: Fact
    at: datetime
    events: Sequence[NewEvent] = ()
    error: str | None = None
    reason: str | None = None
    predict_time: float | None = None


def conclusion_of(returned: Returned) -> Conclusion:
    """The same in the general form."""
    events, predict_time = tuple(returned.events()), returned.predict_time
    return Conclusion(Fact.SUCCEEDED, returned.at, events, predict_time=predict_time)


def end(connection: sqlite3.Connection, counters: QueueCounters, live: Live, conclusion: Conclusion) -> Prediction:
    """Write the last events, FINISHED and the terminal row. The caller handles the queue entry.

    Raises:
        WrongState: the fact does not end it; nothing was written.
    """
    ended, events = ended_by(connection, live, conclusion)
    record(connection, counters, live, events)
    return ended


def end_unchanged(
    connection: sqlite3.Connection, counters: QueueCounters, live: Live, conclusion: Conclusion
) -> Prediction | None:
    """As `end`, for a row that was kept: None if it has changed since, or its lease is lost; nothing was written."""
    before = unchanged(live)
    try:
        ended, events = ended_by(connection, live, conclusion)
    except WrongState:  # of a row that may not be as it was
        return None
    return ended if record(connection, counters, live, events, before) else None


def ended_by(
    connection: sqlite3.Connection, live: Live, conclusion: Conclusion
) -> tuple[Prediction, Sequence[NewEvent]]:
    """The terminal prediction, also in `live`, and the last events with FINISHED. Nothing is written.

    Raises:
        WrongState: the fact does not end it.
    """
    at, events = conclusion.at, conclusion.events
    progress = read_progress(connection, live).add(events)
    if live.fence is not None and (live.fence, live.attempt) != (live.prediction.fence, live.prediction.attempts):
        live.prediction = msgspec.structs.replace(live.prediction, fence=live.fence, attempts=live.attempt)
    ended = conclude(
        live.prediction,
        conclusion.fact,
        at,
        progress,
        started_at=_start(live.prediction, events),
        error=conclusion.error,
        reason=conclusion.reason,
        predict_time=conclusion.predict_time,
    )
    live.prediction = ended
    return ended, (*events, NewEvent(kind=EventKind.FINISHED, at=at, data=_finish(ended)))


def _finish(ended: Prediction) -> bytes:
    if ended.error is ended.termination_reason is None:
        return _PLAIN_FINISH[ended.status]
    return _encode(Finish(status=ended.status, error=ended.error, reason=ended.termination_reason))


def count_events(live: Live, events: Sequence[NewEvent]) -> int:
    """Count these events after its last one; returns the seq of the first."""
    first_seq = live.last_seq + 1
    live.last_seq += len(events)
    if not live.has_progress:
        for event in events:
            if event.kind in PROGRESS_KINDS:
                live.has_progress = True
                break
    return first_seq


def record(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    live: Live,
    events: Sequence[NewEvent],
    before: Row | None = None,
) -> bool:
    """Append events after the last one, and write the current row.

    With `before` (of rows.unchanged) only if the stored row is as it was then; otherwise False, and nothing is written.
    """
    first_seq = count_events(live, events)
    row = changed_prediction_row(live)
    if before is None:
        counters.known.forget(live.prediction.id)
        connection.execute(UPDATE_PREDICTION, row)
    elif not connection.execute(UPDATE_IF_UNCHANGED, (*row, *before)).rowcount:
        return False
    rows = event_rows(
        live.prediction,
        events,
        attempt=live.attempt,
        first_seq=first_seq,
        first_offset=counters.take_offsets(len(events), may_be_told=live.prediction.has_webhook),
    )
    INSERT_EVENTS.insert(connection, rows)
    return True


def note_event(connection: sqlite3.Connection, counters: QueueCounters, live: Live, event: NewEvent) -> Prediction:
    """Append an event that changes nothing else and that webhooks do not report; returns the row."""
    rows = event_rows(
        live.prediction,
        (event,),
        attempt=live.attempt,
        first_seq=live.last_seq + 1,
        first_offset=counters.take_offsets(1, may_be_told=False),
    )
    connection.execute(INSERT_EVENT, rows[0])
    before = live.prediction
    fence = before.fence if live.fence is None else live.fence
    connection.execute(_NOTED, (live.attempt, fence, live.number))
    return msgspec.structs.replace(before, revision=before.revision + 1, attempts=live.attempt, fence=fence)


def read_events(
    connection: sqlite3.Connection,
    prediction_id: str,
    after_seq: int,
    limit: int,
    limit_bytes: int | None,
    *,
    with_data: bool,
) -> list[Event]:
    """Stored events in order of `seq`."""
    found: list[Event] = []
    size = 0
    statement = SELECT_EVENTS if with_data else SELECT_LASTING
    with closing(connection.execute(statement, (prediction_id, after_seq, limit))) as rows:
        for event in events_in(rows):
            if event.seq <= after_seq or not (with_data or event.kind in LASTING):
                continue  # the others of its row
            found.append(event)
            size += len(event.data)
            if len(found) == limit or (limit_bytes is not None and size >= limit_bytes):
                break
    return found


def leave_queue(connection: sqlite3.Connection, counters: QueueCounters, live: Live) -> None:
    """It was ended by another than its holder: a waiting one is removed; a leased one stays until its holder
    finishes. One that may run elsewhere stays as well, until a holder has canceled it there.
    """
    if live.session_id is not None or (live.fence is not None and live.prediction.submit_state in MAY_RUN_ELSEWHERE):
        connection.execute(_MARK_ENDED, (live.prediction.id,))
    elif live.fence is not None:
        connection.execute(DELETE_FROM_QUEUE, (live.prediction.id,))
        counters.add_waiting(live.prediction.version, live.prediction.account_id, -1)


def drop(connection: sqlite3.Connection, counters: QueueCounters, live: Live) -> None:
    """It has ended, and no worker claimed it to cancel its upstream run: remove it."""
    connection.execute(DELETE_FROM_QUEUE, (live.prediction.id,))
    if live.session_id is None and live.fence is not None:
        counters.add_waiting(live.prediction.version, live.prediction.account_id, -1)


def give_back(connection: sqlite3.Connection, counters: QueueCounters, live: Live, ready_at: datetime) -> None:
    """Return a leased prediction to the queue without counting the attempt; remove it if it has ended and has no
    upstream run.
    """
    prediction = live.prediction
    if prediction.is_terminal and prediction.submit_state not in MAY_RUN_ELSEWHERE:
        connection.execute(DELETE_FROM_QUEUE, (prediction.id,))
        return
    connection.execute(_GIVE_BACK, (to_micros(ready_at), prediction.id))
    counters.add_waiting(prediction.version, prediction.account_id)
