"""Predictions: `PredictionStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from halley.clock import to_micros
from halley.errors import Conflict, HalleyError
from halley.predictions.ports import Canceled, Created, NewPrediction, Page
from halley.predictions.queue import Lease
from halley.predictions.records import Event, NewEvent, Prediction, outline_of
from halley.predictions.status import EventKind, Fact, Source
from halley.store.deadlines import in_current_time
from halley.store.sqlite import changes, paging, queue, repeats
from halley.store.sqlite.deliveries import PUT_LINK_BASE
from halley.store.sqlite.event_rows import EVENT_COLUMNS, INSERT_EVENT, event_rows, events_in
from halley.store.sqlite.files import hold_inputs
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.reads import SELECT_OUTLINE, SELECT_PREDICTION
from halley.store.sqlite.rows import (
    INSERT_PREDICTION,
    Live,
    new_prediction_row,
    read_prediction,
    select_live,
)
from halley.store.sqlite.tags import keep_tags

_INSERT_QUEUE: Final = (
    "INSERT INTO queue (prediction_id, version, account_id, priority, session_id, fence, attempt, ready_at,"
    " deadline_at, work_input, context) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_REVISION: Final = "SELECT revision FROM predictions WHERE id = ? AND account_id = ?"
_NEWEST_ID: Final = "SELECT max(id) FROM predictions"
_NEWEST_OFFSET: Final = 'SELECT coalesce(max("offset"), 0) FROM events'
# by the table: the index by prediction would be read completely to avoid a sort
_CHANGED: Final = 'SELECT DISTINCT prediction_id FROM events NOT INDEXED WHERE "offset" > ? AND "offset" <= ?'
_SELECT_LOG: Final = f'SELECT {EVENT_COLUMNS} FROM events WHERE "offset" > ? ORDER BY "offset" LIMIT ?'


class PredictionRows(SqlitePart):
    """Implements `predictions.ports.PredictionStore`."""

    def create(self, new: NewPrediction) -> Awaitable[Created]:
        return self._writer.submit(create_one, self._counters, new, orphaned=self._give_back)

    def create_and_tell(self, new: NewPrediction, told: Callable[[Created | Exception], None]) -> None:
        self._writer.submit_and_tell(create_one, self._counters, new, told=told)

    async def get(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        return await self._read(SELECT_PREDICTION, prediction_id, account_id)

    def revision(self, prediction_id: str, account_id: str) -> int | None:
        row = self._reads.one(_SELECT_REVISION, prediction_id, account_id)
        return None if row is None else int(row[0])

    def just_ended(self, prediction_id: str) -> Prediction | None:
        return self._recent.get(prediction_id)

    async def outline(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        return outline_of(await self._read(SELECT_OUTLINE, prediction_id, account_id))

    async def _read(self, statement: str, prediction_id: str, account_id: str | None) -> Prediction | None:
        known = self._recent.get(prediction_id)
        if known is not None:
            return known if account_id is None or known.account_id == account_id else None
        row = await self._reads.row(statement, prediction_id)
        if row is None or (account_id is not None and row[1] != account_id):
            return None
        return read_prediction(row)

    async def page(
        self,
        account_id: str,
        *,
        limit: int,
        older_than: str | None = None,
        newer_than: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        source: Source | None = None,
        limit_bytes: int | None = None,
    ) -> Page:
        wanted = paging.PageFilter(account_id, created_after, created_before, source)
        read, recent = paging.read_page, self._recent.get
        return await self._reads.elsewhere(read, recent, wanted, limit, limit_bytes, older_than, newer_than)

    def cancel(
        self, prediction_id: str, account_id: str | None, at: datetime, *, reason: str | None = None
    ) -> Awaitable[Canceled | None]:
        return self._writer.submit(_cancel, self._counters, prediction_id, account_id, at, reason)

    async def newest_id(self) -> str | None:
        (newest,) = self._reads.one(_NEWEST_ID)
        return None if newest is None else str(newest)

    async def read_events(
        self,
        prediction_id: str,
        after_seq: int = 0,
        limit: int = 1000,
        limit_bytes: int | None = None,
        *,
        with_data: bool = True,
    ) -> list[Event]:
        read = partial(changes.read_events, with_data=with_data)
        return await self._reads.here(read, prediction_id, after_seq, limit, limit_bytes)

    async def read_log(self, after_offset: int = 0, limit: int = 1000) -> list[Event]:
        return await self._reads.elsewhere(_read_log, after_offset, limit)

    async def newest_offset(self) -> int:
        return int(self._reads.one(_NEWEST_OFFSET)[0])

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        return await self._reads.elsewhere(_changed, after, up_to)

    def _give_back(self, created: Created) -> None:
        """The caller of a create was cancelled: its leased prediction would not be run."""
        if created.lease is not None:
            self._writer.submit(queue.release, self._counters, created.lease, created.prediction.created_at, 0.0)


def create_one(connection: sqlite3.Connection, counters: QueueCounters, new: NewPrediction) -> Created | HalleyError:
    """See PredictionStore.create."""
    prediction = new.prediction
    if (earlier := repeats.made_before(connection, new)) is not None:
        return earlier
    version, account_id = prediction.version, prediction.account_id
    session_id = new.session_id if new.session_id in counters.sessions else None
    if session_id is not None:
        prediction = msgspec.structs.replace(prediction, fence=1, attempts=1)
    elif (refusal := counters.refusal(account_id)) is not None:
        return _stored(connection, prediction) or refusal
    prediction = in_current_time(prediction, counters.clock)
    inserted = connection.execute(INSERT_PREDICTION, new_prediction_row(prediction))
    if inserted.rowcount == 0:
        return _stored(connection, prediction) or Conflict(f"The id {prediction.id} is taken.")
    connection.execute(
        _INSERT_QUEUE,
        (
            prediction.id,
            version,
            account_id,
            prediction.priority,
            session_id,
            prediction.fence,
            prediction.attempts,
            to_micros(counters.clock.current(prediction.created_at)),
            None if prediction.deadline_at is None else to_micros(prediction.deadline_at),
            new.work_input,
            new.context,
        ),
    )
    if new.link_base is not None and prediction.has_webhook:
        connection.execute(PUT_LINK_BASE, (prediction.id, new.link_base))
    if new.files:
        hold_inputs(connection, prediction.id, new.files)
    if new.tags:
        keep_tags(connection, prediction, new.tags)
    first = (NewEvent(kind=EventKind.CREATED, at=prediction.created_at),)
    rows = event_rows(
        prediction,
        first,
        attempt=prediction.attempts,
        first_seq=1,
        first_offset=counters.take_offsets(1, may_be_told=False),
    )
    connection.execute(INSERT_EVENT, rows[0])
    if new.idempotency is not None:
        repeats.keep_key(connection, prediction, new.idempotency)
    if session_id is None:
        counters.add_run(prediction.model)
        counters.add_waiting(version, account_id)
        return Created(prediction=prediction)
    counters.add_leased(prediction)
    if inserted.lastrowid is not None:
        counters.known.keep(Live(prediction, inserted.lastrowid, 1, False, session_id, 1, 1))
    lease = Lease(prediction_id=prediction.id, session_id=session_id, fence=1, attempt=1)
    return Created(prediction=prediction, lease=lease)


def _stored(connection: sqlite3.Connection, prediction: Prediction) -> Created | None:
    """What an earlier create of the same id and account stored. Its lease belongs to that create."""
    row = connection.execute(SELECT_PREDICTION, (prediction.id,)).fetchone()
    if row is None or row[1] != prediction.account_id:
        return None
    return Created(prediction=read_prediction(row))


def _cancel(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    prediction_id: str,
    account_id: str | None,
    at: datetime,
    reason: str | None,
) -> Canceled | None:
    live = select_live(connection, prediction_id)
    if live is None or (account_id is not None and live.prediction.account_id != account_id):
        return None
    was_leased = live.session_id is not None
    if live.prediction.is_terminal:
        return Canceled(prediction=live.prediction, changed=False, was_leased=was_leased)
    request = NewEvent(kind=EventKind.CANCEL_REQUESTED, at=at)
    canceled = changes.end(
        connection, counters, live, changes.Conclusion(Fact.CANCEL_REQUESTED, at, events=(request,), reason=reason)
    )
    changes.leave_queue(connection, counters, live)
    return Canceled(prediction=canceled, changed=True, was_leased=was_leased)


def _changed(connection: sqlite3.Connection, after: int, up_to: int) -> list[str]:
    return [prediction_id for (prediction_id,) in connection.execute(_CHANGED, (after, up_to))]


def _read_log(connection: sqlite3.Connection, after_offset: int, limit: int) -> list[Event]:
    events = events_in(connection.execute(_SELECT_LOG, (after_offset, limit)))
    return [event for event in events if event.offset > after_offset][:limit]
