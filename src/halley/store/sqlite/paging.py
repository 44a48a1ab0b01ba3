"""Pages of an account's predictions, read along the index of account and id."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Callable
from datetime import datetime
from itertools import accumulate
from typing import Any, Final

import msgspec

from halley.clock import to_micros
from halley.predictions.ports import Page
from halley.predictions.records import Prediction
from halley.predictions.status import Source
from halley.store.sqlite.id_ranges import IdRange
from halley.store.sqlite.rows import PREDICTION_COLUMNS_WITHOUT_LOGS, read_prediction

SIZE: Final = " + ".join(f"coalesce(length({name}), 0)" for name in ("error", "metrics", "files", "input", "output"))
_SELECT_MANY: Final = (
    f"SELECT {PREDICTION_COLUMNS_WITHOUT_LOGS} FROM predictions WHERE id IN (SELECT value FROM json_each(?))"
)

Recent = Callable[[str], Prediction | None]
"""The row of a prediction that is kept in memory, by its id."""


class PageFilter(msgspec.Struct, frozen=True):
    """Which predictions belong to the list."""

    account_id: str
    created_after: datetime | None
    created_before: datetime | None
    source: Source | None

    @property
    def range(self) -> IdRange:
        """The ids of its time, so that old pages need no scan from the newest row."""
        return IdRange.of_times(self.created_after, self.created_before)

    def where(self, ids: IdRange) -> tuple[str, list[Any]]:
        """The condition for those of these ids that belong to it, and its values."""
        condition = "account_id = ? AND id >= ? AND id < ?"
        values: list[Any] = [self.account_id, ids.first, ids.end]
        if self.created_after is not None:
            condition += " AND created_at >= ?"
            values.append(to_micros(self.created_after))
        if self.created_before is not None:
            condition += " AND created_at < ?"
            values.append(to_micros(self.created_before))
        if self.source is not None:
            condition += " AND source = ?"
            values.append(self.source.value)
        return condition, values


def read_page(
    connection: sqlite3.Connection,
    recent: Recent,
    wanted: PageFilter,
    limit: int,
    limit_bytes: int | None,
    older_than: str | None,
    newer_than: str | None,
) -> Page:
    """At most `limit` of them, newest first; see PredictionStore.page. What `recent` gives is not read."""
    ids, size = wanted.range, (limit, limit_bytes)
    if newer_than is not None:
        found, has_more = _ids(connection, wanted.where(ids.after(newer_than)), "id", *size)
        items = records(connection, recent, found[::-1])
        has_older = _exists(connection, *wanted.where(ids.up_to(newer_than)))
        return Page(items=items, has_newer=has_more, has_older=has_older)
    has_newer = False
    if older_than is not None:
        has_newer = _exists(connection, *wanted.where(ids.from_on(older_than)))
        ids = ids.before(older_than)
    found, has_more = _ids(connection, wanted.where(ids), "id DESC", *size)
    return Page(items=records(connection, recent, found), has_older=has_more, has_newer=has_newer)


def _ids(
    connection: sqlite3.Connection, where: tuple[str, list[Any]], order: str, limit: int, limit_bytes: int | None
) -> tuple[list[str], bool]:
    """As many ids as fit, and whether there are more. The sizes are at the beginning of a row."""
    condition, values = where
    heads = connection.execute(
        f"SELECT id, {SIZE} FROM predictions WHERE {condition} ORDER BY {order} LIMIT ?", [*values, limit + 1]
    ).fetchall()
    count = fitting([size for _, size in heads[:limit]], limit_bytes)
    return [prediction_id for prediction_id, _ in heads[:count]], len(heads) > count


def records(connection: sqlite3.Connection, recent: Recent, ids: list[str]) -> tuple[Prediction, ...]:
    """The rows of these ids, in this order, without logs."""
    known = {prediction_id: row for prediction_id in ids if (row := recent(prediction_id)) is not None}
    missing = [prediction_id for prediction_id in ids if prediction_id not in known]
    if missing:
        for row in connection.execute(_SELECT_MANY, (msgspec.json.encode(missing).decode(),)):
            known[row[0]] = read_prediction(row)
    return tuple(known[prediction_id] for prediction_id in ids)


def fitting(sizes: list[int], limit_bytes: int | None) -> int:
    """How many of the first rows have at most this size together; at least one."""
    if limit_bytes is None:
        return len(sizes)
    together = accumulate(sizes)
    return max(min(1, len(sizes)), sum(total <= limit_bytes for total in together))


def _exists(connection: sqlite3.Connection, where: str, values: list[Any]) -> bool:
    statement = f"SELECT EXISTS (SELECT 1 FROM predictions WHERE {where})"
    return bool(connection.execute(statement, values).fetchone()[0])
