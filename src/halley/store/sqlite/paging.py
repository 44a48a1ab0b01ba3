"""Pages of an account's predictions, walked along the index of account and id."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from halley.clock import to_micros
from halley.ids import first_id_at
from halley.predictions.ports import Page
from halley.predictions.status import Source
from halley.store.sqlite.rows import PREDICTION_COLUMNS_WITHOUT_LOGS, read_prediction

# An id is made no earlier than its `created_at`, and later only where the clock had been set back.
_CLOCK_SLACK: Final = timedelta(hours=1)


class Wanted(msgspec.Struct, frozen=True):
    """Which predictions belong to the list."""

    account_id: str
    created_after: datetime | None
    created_before: datetime | None
    source: Source | None

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its values. Times are narrowed by id first, so that old pages need no walk from the top."""
        condition = "account_id = ?"
        values: list[Any] = [self.account_id]
        if self.created_after is not None:
            condition += " AND id >= ? AND created_at >= ?"
            values += [first_id_at(self.created_after), to_micros(self.created_after)]
        if self.created_before is not None:
            condition += " AND id < ? AND created_at < ?"
            values += [first_id_at(self.created_before + _CLOCK_SLACK), to_micros(self.created_before)]
        if self.source is not None:
            condition += " AND source = ?"
            values.append(self.source.value)
        return condition, values


def read_page(
    connection: sqlite3.Connection, wanted: Wanted, limit: int, older_than: str | None, newer_than: str | None
) -> Page:
    """At most `limit` of them, newest first; see PredictionStore.page."""
    condition, values = wanted.where()
    if newer_than is not None:
        rows = _rows(connection, f"{condition} AND id > ? ORDER BY id", [*values, newer_than], limit + 1)
        items = tuple(read_prediction(row) for row in reversed(rows[:limit]))
        return Page(
            items=items,
            has_newer=len(rows) > limit,
            has_older=_exists(connection, f"{condition} AND id <= ?", [*values, newer_than]),
        )
    if older_than is not None:
        rows = _rows(connection, f"{condition} AND id < ? ORDER BY id DESC", [*values, older_than], limit + 1)
        has_newer = _exists(connection, f"{condition} AND id >= ?", [*values, older_than])
    else:
        rows = _rows(connection, f"{condition} ORDER BY id DESC", values, limit + 1)
        has_newer = False
    items = tuple(read_prediction(row) for row in rows[:limit])
    return Page(items=items, has_older=len(rows) > limit, has_newer=has_newer)


def _rows(connection: sqlite3.Connection, where: str, values: list[Any], limit: int) -> list[Any]:
    statement = f"SELECT {PREDICTION_COLUMNS_WITHOUT_LOGS} FROM predictions WHERE {where} LIMIT ?"
    return connection.execute(statement, [*values, limit]).fetchall()


def _exists(connection: sqlite3.Connection, where: str, values: list[Any]) -> bool:
    statement = f"SELECT EXISTS (SELECT 1 FROM predictions WHERE {where})"
    return bool(connection.execute(statement, values).fetchone()[0])
