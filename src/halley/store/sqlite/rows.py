"""Converts between records and rows: the only place that knows the column of each member."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.predictions.queue import Lease
from halley.predictions.records import OutputFile, Prediction
from halley.predictions.settlements import COMPARED_BYTES
from halley.predictions.status import Kind, Source, Status, SubmitState
from halley.store.sqlite.event_rows import Row
from halley.store.sqlite.many_rows import Portions

_STATUS: Final = {str(word): word for word in Status}
_KIND: Final = {str(word): word for word in Kind}
_SOURCE: Final = {str(word): word for word in Source}
_SUBMIT_STATE: Final[dict[str | None, SubmitState | None]] = {str(word): word for word in SubmitState} | {None: None}

_encode: Final = msgspec.json.Encoder().encode
_decode_files: Final = msgspec.json.Decoder(tuple[OutputFile, ...]).decode
_decode_filter: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_metrics: Final = msgspec.json.Decoder(dict[str, object]).decode

# Two flags in the column `created_with_wait`: a new column would come after `logs`, and reading it would read through
# them.
_WITH_WAIT: Final = 1
_CANCEL_ABANDONED: Final = 2

_NEW_COLUMNS: Final = (
    "id, account_id, key_id, kind, status, revision, model, version, deployment, source, priority, provider, handle,"
    " submit_state, attempts, fence, created_with_wait, webhook, webhook_events_filter, created_at, deadline_at,"
    " last_seq, has_progress, input"
)
INSERT_PREDICTION: Final = (
    f"INSERT INTO predictions ({_NEW_COLUMNS})"
    f" VALUES ({', '.join('?' * (_NEW_COLUMNS.count(',') + 1))}) ON CONFLICT (id) DO NOTHING"
)

_COLUMNS: Final = (
    "id, account_id, key_id, kind, status, revision, model, version, deployment, source, priority, provider, handle,"
    " submit_state, attempts, fence, created_with_wait, webhook, webhook_events_filter, termination_reason,"
    " cost_micros, created_at, started_at, completed_at, deadline_at, cancel_requested_at, data_removed_at,"
    " error, metrics, files, {large}"
)
_REPEATS: Final = ", (SELECT count FROM repeated_creates WHERE prediction_id = {row}.id)"
_LIVE_NAMES: Final = _COLUMNS.format(large="input, output, logs").split(", ")
_COLUMNS_AND_REPEATS: Final = _COLUMNS + _REPEATS.format(row="predictions")
PREDICTION_COLUMNS: Final = _COLUMNS_AND_REPEATS.format(large="input, output, logs")
# for lists: logs may be 16 MiB each
PREDICTION_COLUMNS_WITHOUT_LOGS: Final = _COLUMNS_AND_REPEATS.format(large="input, output, ''")
# columns at the end cost nothing if they are not read
OUTLINE_COLUMNS: Final = _COLUMNS_AND_REPEATS.format(large="x'7b7d', NULL, ''")
COLUMNS_WITH_SHORT_INPUT: Final = _COLUMNS_AND_REPEATS.format(
    large=f"CASE WHEN length(input) <= {COMPARED_BYTES} THEN input ELSE x'' END, NULL, ''"
)
_CHANGED_BY_REMOVAL: Final = {"revision", "data_removed_at", "files", "input", "output", "logs"}
COLUMNS_WITHOUT_DATA: Final = ", ".join(name for name in _LIVE_NAMES if name not in _CHANGED_BY_REMOVAL)

_LIVE_COLUMNS: Final = ", ".join(f"p.{name}" for name in _LIVE_NAMES) + _REPEATS.format(row="p")
_LIVE_AT: Final = PREDICTION_COLUMNS.count(",") + 1
SELECT_LIVE: Final = (
    f"SELECT {_LIVE_COLUMNS}, p.number, p.last_seq, p.has_progress, q.session_id, q.fence, q.attempt"
    " FROM predictions AS p LEFT JOIN queue AS q ON q.prediction_id = p.id WHERE p.id = ?"
)
_SELECT_MANY_LIVE: Final = Portions(SELECT_LIVE.replace("p.id = ?", "p.id IN ({})"), "?")
_SELECT_LIVE_WITHOUT_INPUT: Final = SELECT_LIVE.replace("p.input", "x'7b7d'", 1)

UPDATE_PREDICTION: Final = (
    "UPDATE predictions SET status = ?, revision = ?, attempts = ?, fence = ?, termination_reason = ?, started_at = ?,"
    " completed_at = ?, cancel_requested_at = ?, last_seq = ?, has_progress = ?, error = ?, metrics = ?, files = ?,"
    " output = ?, logs = ? WHERE number = ?"
)
# the row is as it was when it was kept, and the lease holds it: the values are `unchanged`
UPDATE_IF_UNCHANGED: Final = (
    f"{UPDATE_PREDICTION} AND revision = ? AND submit_state IS NULL"
    " AND EXISTS (SELECT 1 FROM queue WHERE prediction_id = ? AND session_id = ? AND fence = ?)"
)


class Live(msgspec.Struct, gc=False):
    """A prediction inside a transaction, with its data in the queue and the log."""

    prediction: Prediction
    number: int
    last_seq: int
    has_progress: bool
    session_id: str | None  # the holder of its lease; None if it waits, or is not in the queue
    fence: int | None  # None: not in the queue
    attempt: int

    @property
    def lease(self) -> Lease | None:
        if self.session_id is None or self.fence is None:
            return None
        return Lease(
            prediction_id=self.prediction.id, session_id=self.session_id, fence=self.fence, attempt=self.attempt
        )


def waiting_flags(prediction: Prediction) -> int:
    """The value of the column `created_with_wait`."""
    return prediction.created_with_wait * _WITH_WAIT + prediction.cancel_abandoned * _CANCEL_ABANDONED


def new_prediction_row(prediction: Prediction) -> Row:
    """The values of INSERT_PREDICTION; its first event is in the same transaction."""
    deadline = prediction.deadline_at
    wanted = prediction.webhook_events_filter
    return (
        prediction.id,
        prediction.account_id,
        prediction.key_id,
        prediction.kind._value_,  # `value` is a property written in Python
        prediction.status._value_,
        prediction.revision,
        prediction.model,
        prediction.version,
        prediction.deployment,
        prediction.source._value_,
        prediction.priority,
        prediction.provider,
        prediction.handle,
        prediction.submit_state,
        prediction.attempts,
        prediction.fence,
        waiting_flags(prediction),
        prediction.webhook,
        None if wanted is None else _encode(wanted),
        to_micros(prediction.created_at),
        None if deadline is None else to_micros(deadline),
        1,
        False,
        prediction.input,
    )


def changed_prediction_row(live: Live) -> Row:
    """The values of UPDATE_PREDICTION: everything that a fact may change."""
    prediction = live.prediction
    started, completed, asked = prediction.started_at, prediction.completed_at, prediction.cancel_requested_at
    return (
        prediction.status._value_,
        prediction.revision,
        prediction.attempts,
        prediction.fence,
        prediction.termination_reason,
        None if started is None else to_micros(started),
        None if completed is None else to_micros(completed),
        None if asked is None else to_micros(asked),
        live.last_seq,
        live.has_progress,
        prediction.error,
        _encode(prediction.metrics) if prediction.metrics else None,
        _encode(prediction.files) if prediction.files else None,
        prediction.output,
        prediction.logs,
        live.number,
    )


def unchanged(live: Live) -> Row:
    """The last values of UPDATE_IF_UNCHANGED, of a row before it is changed."""
    return live.prediction.revision, live.prediction.id, live.session_id, live.fence


def read_prediction(row: Row) -> Prediction:
    """The record of a row of PREDICTION_COLUMNS (more columns may follow)."""
    started, completed, deadline, asked, removed = row[22], row[23], row[24], row[25], row[26]
    return Prediction(
        id=row[0],
        account_id=row[1],
        key_id=row[2],
        kind=_KIND[row[3]],
        status=_STATUS[row[4]],
        revision=row[5],
        model=row[6],
        version=row[7],
        deployment=row[8],
        source=_SOURCE[row[9]],
        priority=row[10],
        provider=row[11],
        handle=row[12],
        submit_state=_SUBMIT_STATE[row[13]],
        attempts=row[14],
        fence=row[15],
        created_with_wait=row[16] & _WITH_WAIT != 0,
        cancel_abandoned=row[16] & _CANCEL_ABANDONED != 0,
        webhook=row[17],
        webhook_events_filter=None if row[18] is None else _decode_filter(row[18]),
        termination_reason=row[19],
        cost_micros=row[20],
        created_at=from_micros(row[21]),
        started_at=None if started is None else from_micros(started),
        completed_at=None if completed is None else from_micros(completed),
        deadline_at=None if deadline is None else from_micros(deadline),
        cancel_requested_at=None if asked is None else from_micros(asked),
        data_removed_at=None if removed is None else from_micros(removed),
        error=row[27],
        metrics={} if row[28] is None else _decode_metrics(row[28]),
        files=() if row[29] is None else _decode_files(row[29]),
        input=row[30],
        output=row[31],
        logs=row[32],
        repeated_creates=row[33] or 0,
    )


def select_live(connection: sqlite3.Connection, prediction_id: str, *, with_input: bool = True) -> Live | None:
    """The prediction with its queue entry; None if absent. A row without its input must not be shown."""
    statement = SELECT_LIVE if with_input else _SELECT_LIVE_WITHOUT_INPUT
    row = connection.execute(statement, (prediction_id,)).fetchone()
    return None if row is None else _read_live(row)


def select_many_live(connection: sqlite3.Connection, prediction_ids: Sequence[str]) -> list[Live]:
    """As `select_live` for each, in any order; absent ones are left out."""
    return [
        _read_live(row)
        for statement, ids in _SELECT_MANY_LIVE.of(prediction_ids)
        for row in connection.execute(statement, ids)
    ]


def _read_live(row: Row) -> Live:
    number, last_seq, has_progress, session_id, fence, attempt = row[_LIVE_AT:]
    prediction = read_prediction(row)
    return Live(prediction, number, last_seq, has_progress == 1, session_id, fence, attempt or prediction.attempts)
