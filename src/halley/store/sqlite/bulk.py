"""Bulk actions: `BulkStore` in SQL."""

import sqlite3
from collections.abc import Awaitable, Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from halley.bulk.ports import MOST_RUNNING, REASONS_LISTED, BulkHolder, BulkPage
from halley.bulk.records import BulkAction, BulkItem, BulkOutcome, BulkState, ItemResult, ReasonCount, TakenItem
from halley.bulk.repeated_requests import same_request
from halley.clock import to_micros
from halley.errors import Conflict, HalleyError
from halley.predictions.ports import Created, NewPrediction
from halley.store.sqlite import bulk_rows
from halley.store.sqlite.queue_counters import QueueCounters
from halley.store.sqlite.reruns import RerunRows, rerun_one

_STOP: Final = (
    "UPDATE bulk_actions SET state = 'stopped', ended_at = ?, reason = ?, waiting = NULL"
    " WHERE id = ? AND state = 'running'"
)
_FINISH: Final = "UPDATE bulk_actions SET state = 'finished', ended_at = ?, waiting = NULL WHERE id = ?"
_HOLD: Final = (
    "UPDATE bulk_actions SET holder = ?1, lease_until = ?2 WHERE id = ?3 AND state = 'running'"
    " AND (holder IS NULL OR holder = ?1 OR ?4 OR lease_until <= ?5) RETURNING begun"
)
_OPEN: Final = (
    "SELECT position, prediction_id FROM bulk_items WHERE action_id = ? AND outcome IS NULL ORDER BY position LIMIT ?"
)
_PREDICTIONS: Final = "SELECT prediction_id FROM bulk_items WHERE action_id = ? ORDER BY position"
_BEGIN: Final = "UPDATE bulk_actions SET begun = ? WHERE id = ? AND begun < ?"
_SETTLE: Final = (
    "UPDATE bulk_items SET outcome = ?, reason = ?, rerun_id = ? WHERE action_id = ? AND position = ?"
    " AND outcome IS NULL"
)
_COUNT: Final = (
    "UPDATE bulk_actions SET done = done + ?, skipped = skipped + ?, failed = failed + ?, waiting = NULL WHERE id = ?"
)
_IS_OPEN: Final = (
    "SELECT EXISTS (SELECT 1 FROM bulk_items AS i JOIN bulk_actions AS a ON a.id = i.action_id"
    " WHERE i.action_id = ? AND i.position = ? AND i.outcome IS NULL AND a.state = 'running')"
)
_NOTE_WAITING: Final = "UPDATE bulk_actions SET waiting = ? WHERE id = ? AND state = 'running'"
_ENDED: Final = "SELECT id FROM bulk_actions WHERE ended_at < ? ORDER BY ended_at LIMIT ?"
_FORGET_ITEMS: Final = "DELETE FROM bulk_items WHERE action_id = ?"
_FORGET: Final = "DELETE FROM bulk_actions WHERE id = ?"


class BulkRows(RerunRows):
    """Implements `bulk.ports.BulkStore`."""

    def put_bulk_action(self, action: BulkAction, prediction_ids: Sequence[str]) -> Awaitable[BulkAction]:
        return self._writer.submit(_put, action, prediction_ids)

    async def bulk_action(self, action_id: str, account_id: str | None = None) -> BulkAction | None:
        row = self._reads.one(bulk_rows.SELECT_ACTION, action_id)
        if row is None or (account_id is not None and row[1] != account_id):
            return None
        return bulk_rows.read_action(row)

    async def bulk_actions(
        self, account_id: str, limit: int, *, older_than: str | None = None, newer_than: str | None = None
    ) -> BulkPage:
        return await self._reads.here(bulk_rows.read_page, account_id, limit, older_than, newer_than)

    async def bulk_items(
        self, action_id: str, limit: int, *, outcome: BulkOutcome | None = None, after: int = -1
    ) -> list[BulkItem]:
        return await self._reads.elsewhere(bulk_rows.read_items, action_id, limit, outcome, after)

    async def bulk_reasons(self, action_id: str, limit: int = REASONS_LISTED) -> list[ReasonCount]:
        return await self._reads.elsewhere(bulk_rows.read_reasons, action_id, limit)

    def stop_bulk_action(
        self, action_id: str, account_id: str | None, at: datetime, reason: str
    ) -> Awaitable[BulkAction | None]:
        return self._writer.submit(_stop, self._counters, action_id, account_id, at, reason)

    async def running_bulk_actions(self) -> list[BulkAction]:
        return await self._reads.here(bulk_rows.read_running)

    def take_bulk_items(
        self, action_id: str, holder: BulkHolder, at: datetime, limit: int
    ) -> Awaitable[Sequence[TakenItem] | None]:
        return self._writer.submit(_take, self._counters, action_id, holder, at, limit)

    def settle_bulk_items(self, action_id: str, results: Sequence[ItemResult]) -> Awaitable[None]:
        return self._writer.submit(_settle, action_id, results)

    def rerun_bulk_item(self, new: NewPrediction, of: str, action_id: str, position: int) -> Awaitable[Created]:
        return self._writer.submit(_rerun, self._counters, new, of, action_id, position, orphaned=self._give_back)

    def note_bulk_waiting(self, action_id: str, waiting: str | None) -> Awaitable[None]:
        return self._writer.submit(_note_waiting, action_id, waiting)

    async def waiting_reruns(self, action_id: str) -> int:
        return await self._reads.elsewhere(bulk_rows.count_waiting, action_id)

    async def own_predictions(self, account_id: str, prediction_ids: Collection[str]) -> set[str]:
        return await self._reads.elsewhere(bulk_rows.read_own, account_id, list(prediction_ids))

    def forget_bulk_actions(self, ended_before: datetime, limit: int) -> Awaitable[int]:
        return self._writer.submit(_forget, to_micros(ended_before), limit)


def _put(connection: sqlite3.Connection, action: BulkAction, prediction_ids: Sequence[str]) -> BulkAction | HalleyError:
    if action.idempotency_key is not None:
        row = connection.execute(bulk_rows.SELECT_ONCE, (action.account_id, action.idempotency_key)).fetchone()
        if row is not None:
            known = bulk_rows.read_action(row)
            known_ids = [one for (one,) in connection.execute(_PREDICTIONS, (known.id,))]
            return same_request(action, prediction_ids, known, known_ids)
    (running,) = connection.execute(bulk_rows.COUNT_RUNNING, (action.account_id,)).fetchone()
    if running >= MOST_RUNNING:
        return Conflict(f"{MOST_RUNNING} bulk actions of this account are running. Wait for one, or stop one.")
    is_empty = not prediction_ids
    action = msgspec.structs.replace(
        action,
        total=len(prediction_ids),
        state=BulkState.FINISHED if is_empty else BulkState.RUNNING,
        ended_at=action.created_at if is_empty else None,
    )
    connection.execute(bulk_rows.PUT_ACTION, bulk_rows.action_row(action))
    connection.execute(bulk_rows.PUT_ITEMS, (action.id, msgspec.json.encode(prediction_ids).decode()))
    return action


def _read(connection: sqlite3.Connection, action_id: str) -> BulkAction | None:
    row = connection.execute(bulk_rows.SELECT_ACTION, (action_id,)).fetchone()
    return None if row is None else bulk_rows.read_action(row)


def _stop(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    action_id: str,
    account_id: str | None,
    at: datetime,
    reason: str,
) -> BulkAction | None:
    action = _read(connection, action_id)
    if action is None or (account_id is not None and action.account_id != account_id):
        return None
    connection.execute(_STOP, (to_micros(counters.clock.current(at)), reason, action_id))
    return _read(connection, action_id)


def _take(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    action_id: str,
    holder: BulkHolder,
    at: datetime,
    limit: int,
) -> Sequence[TakenItem] | None:
    now = counters.clock.current(at)
    until = bulk_rows.lease_end(now, holder.lease_seconds)
    held = connection.execute(_HOLD, (holder.id, until, action_id, holder.is_alone, to_micros(now))).fetchall()
    if not held:
        return None
    begun: int = held[0][0]
    rows = connection.execute(_OPEN, (action_id, limit)).fetchall()
    if not rows:
        connection.execute(_FINISH, (to_micros(now), action_id))
        return ()
    end = rows[-1][0] + 1
    connection.execute(_BEGIN, (end, action_id, end))
    return [
        TakenItem(position=position, prediction_id=prediction_id, was_begun=position < begun)
        for position, prediction_id in rows
    ]


def _settle(connection: sqlite3.Connection, action_id: str, results: Sequence[ItemResult]) -> None:
    counts = dict.fromkeys(BulkOutcome, 0)
    for result in results:
        values = (result.outcome.value, result.reason, None, action_id, result.position)
        counts[result.outcome] += connection.execute(_SETTLE, values).rowcount
    _count(connection, action_id, counts[BulkOutcome.DONE], counts[BulkOutcome.SKIPPED], counts[BulkOutcome.FAILED])


def _count(connection: sqlite3.Connection, action_id: str, done: int, skipped: int, failed: int) -> None:
    if done or skipped or failed:
        connection.execute(_COUNT, (done, skipped, failed, action_id))


def _rerun(
    connection: sqlite3.Connection,
    counters: QueueCounters,
    new: NewPrediction,
    of: str,
    action_id: str,
    position: int,
) -> Created | HalleyError:
    if not connection.execute(_IS_OPEN, (action_id, position)).fetchone()[0]:
        return Conflict("The bulk action was stopped, or has run this prediction again before.")
    created = rerun_one(connection, counters, new, of)
    if isinstance(created, HalleyError):
        return created
    connection.execute(_SETTLE, (BulkOutcome.DONE.value, None, created.prediction.id, action_id, position))
    _count(connection, action_id, 1, 0, 0)
    return created


def _note_waiting(connection: sqlite3.Connection, action_id: str, waiting: str | None) -> None:
    connection.execute(_NOTE_WAITING, (waiting, action_id))


def _forget(connection: sqlite3.Connection, ended_before: int, limit: int) -> int:
    ended = connection.execute(_ENDED, (ended_before, limit)).fetchall()
    for (action_id,) in ended:
        connection.execute(_FORGET_ITEMS, (action_id,))
        connection.execute(_FORGET, (action_id,))
    return len(ended)
