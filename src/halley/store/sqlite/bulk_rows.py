"""Bulk actions and their items as rows, and how they are read."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.bulk.ports import BulkPage
from halley.bulk.records import BulkAction, BulkItem, BulkKind, BulkOutcome, BulkState, ReasonCount
from halley.clock import from_micros, to_micros

_NEW: Final = (
    "id, account_id, key_id, kind, filter, created_at, total, state, ended_at, reason, waiting, link_base, once, most"
)
_COLUMNS: Final = f"{_NEW}, done, skipped, failed"
PUT_ACTION: Final = f"INSERT INTO bulk_actions ({_NEW}) VALUES ({', '.join('?' * 14)})"
PUT_ITEMS: Final = "INSERT INTO bulk_items (action_id, position, prediction_id) SELECT ?, key, value FROM json_each(?)"
SELECT_ACTION: Final = f"SELECT {_COLUMNS} FROM bulk_actions WHERE id = ?"
SELECT_ONCE: Final = f"SELECT {_COLUMNS} FROM bulk_actions WHERE account_id = ? AND once = ?"
SELECT_RUNNING: Final = f"SELECT {_COLUMNS} FROM bulk_actions WHERE state = 'running' ORDER BY id"
COUNT_RUNNING: Final = "SELECT count(*) FROM bulk_actions WHERE state = 'running' AND account_id = ?"
_SELECT_OLDER: Final = f"SELECT {_COLUMNS} FROM bulk_actions WHERE account_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
_SELECT_NEWER: Final = f"SELECT {_COLUMNS} FROM bulk_actions WHERE account_id = ? AND id > ? ORDER BY id LIMIT ?"
_EXISTS: Final = "SELECT EXISTS (SELECT 1 FROM bulk_actions WHERE account_id = ? AND id {} ?)"
_ITEMS: Final = (
    "SELECT position, prediction_id, outcome, reason, rerun_id FROM bulk_items"
    " WHERE action_id = ?1 AND position > ?2 AND (?3 IS NULL OR outcome = ?3) ORDER BY position LIMIT ?4"
)
_REASONS: Final = (
    "SELECT outcome, reason, count(*), min(prediction_id) FROM bulk_items"
    " WHERE action_id = ? AND outcome IN ('skipped', 'failed') GROUP BY outcome, reason ORDER BY 3 DESC, 2 LIMIT ?"
)
_WAITING_RERUNS: Final = (
    "SELECT count(*) FROM bulk_items AS i JOIN queue AS q ON q.prediction_id = i.rerun_id"
    " WHERE i.action_id = ? AND i.rerun_id IS NOT NULL"
)
_OWN: Final = "SELECT id FROM predictions WHERE id IN (SELECT value FROM json_each(?)) AND account_id = ?"
_FIRST: Final = "\uffff"  # after every id

_encode: Final = msgspec.json.Encoder().encode
_decode_filter: Final = msgspec.json.Decoder(dict[str, str]).decode


def action_row(action: BulkAction) -> tuple[Any, ...]:
    """The values for PUT_ACTION."""
    return (
        action.id,
        action.account_id,
        action.key_id,
        action.kind.value,
        None if action.filter is None else _encode(action.filter),
        to_micros(action.created_at),
        action.total,
        action.state.value,
        None if action.ended_at is None else to_micros(action.ended_at),
        action.reason,
        action.waiting,
        action.link_base,
        action.idempotency_key,
        action.most,
    )


def read_action(row: Sequence[Any]) -> BulkAction:
    """The record of a row."""
    return BulkAction(
        id=row[0],
        account_id=row[1],
        key_id=row[2],
        kind=BulkKind(row[3]),
        filter=None if row[4] is None else _decode_filter(row[4]),
        created_at=from_micros(row[5]),
        total=row[6],
        state=BulkState(row[7]),
        ended_at=None if row[8] is None else from_micros(row[8]),
        reason=row[9],
        waiting=row[10],
        link_base=row[11],
        idempotency_key=row[12],
        most=row[13],
        done=row[14],
        skipped=row[15],
        failed=row[16],
    )


def read_running(connection: sqlite3.Connection) -> list[BulkAction]:
    """See BulkStore.running_bulk_actions."""
    return [read_action(row) for row in connection.execute(SELECT_RUNNING)]


def read_page(
    connection: sqlite3.Connection, account_id: str, limit: int, older_than: str | None, newer_than: str | None
) -> BulkPage:
    """See BulkStore.bulk_actions."""
    if newer_than is not None:
        rows = connection.execute(_SELECT_NEWER, (account_id, newer_than, limit + 1)).fetchall()
        items = tuple(read_action(row) for row in rows[:limit][::-1])
        return BulkPage(
            items=items, has_newer=len(rows) > limit, has_older=_exists(connection, account_id, "<=", newer_than)
        )
    start = _FIRST if older_than is None else older_than
    rows = connection.execute(_SELECT_OLDER, (account_id, start, limit + 1)).fetchall()
    return BulkPage(
        items=tuple(read_action(row) for row in rows[:limit]),
        has_older=len(rows) > limit,
        has_newer=older_than is not None and _exists(connection, account_id, ">=", older_than),
    )


def _exists(connection: sqlite3.Connection, account_id: str, how: str, action_id: str) -> bool:
    return bool(connection.execute(_EXISTS.format(how), (account_id, action_id)).fetchone()[0])


def read_items(
    connection: sqlite3.Connection, action_id: str, limit: int, outcome: BulkOutcome | None, after: int
) -> list[BulkItem]:
    """See BulkStore.bulk_items."""
    wanted = None if outcome is None else outcome.value
    return [
        BulkItem(
            position=position,
            prediction_id=prediction_id,
            outcome=None if found is None else BulkOutcome(found),
            reason=reason,
            rerun_id=rerun_id,
        )
        for position, prediction_id, found, reason, rerun_id in connection.execute(
            _ITEMS, (action_id, after, wanted, limit)
        )
    ]


def read_reasons(connection: sqlite3.Connection, action_id: str, limit: int) -> list[ReasonCount]:
    """See BulkStore.bulk_reasons."""
    return [
        ReasonCount(outcome=BulkOutcome(outcome), reason=reason, count=count, example=example)
        for outcome, reason, count, example in connection.execute(_REASONS, (action_id, limit))
    ]


def count_waiting(connection: sqlite3.Connection, action_id: str) -> int:
    """See BulkStore.waiting_reruns."""
    return int(connection.execute(_WAITING_RERUNS, (action_id,)).fetchone()[0])


def read_own(connection: sqlite3.Connection, account_id: str, prediction_ids: Sequence[str]) -> set[str]:
    """See BulkStore.own_predictions."""
    return {found for (found,) in connection.execute(_OWN, (_encode(prediction_ids).decode(), account_id))}


def lease_end(at: datetime, lease_seconds: float) -> int:
    """The end of a lease that begins now, as a column has it."""
    return to_micros(at) + round(lease_seconds * 1e6)
