"""Scans one index in the order of ids, in steps: each step reads a limited number of rows, in one snapshot.

Other readers get their turn between two steps. A step begins after the last id of the step before (keyset pagination),
so nothing is found twice and nothing is left out, also if predictions are created or changed meanwhile.
"""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from typing import Any, Final

import msgspec

from halley.ids import FIRST_ID, LAST_ID
from halley.predictions.search import SearchPart
from halley.store.sqlite.id_ranges import IdRange

_FIRST_STEP: Final = (
    500  # most pages are full after a few rows; finding the end of a larger step takes longer than reading these
)


class ScanQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are scanned, in the order of the id `key`: those of an index, of the queue, or of a tag.

    `bounds` and `ids` limit the rows that are scanned; `conditions` select the rows that are found. If the scan goes
    through rows of all accounts, `own` is the condition, with its value, for the rows of this account: only these
    count, and only their ids are returned.
    """

    source: str
    key: str
    bounds: str
    ids: IdRange
    conditions: str
    bound_values: tuple[Any, ...]
    condition_values: tuple[Any, ...]
    step_rows: int
    own: tuple[str, Any] | None = None

    @property
    def joined(self) -> str:
        """The source with its predictions."""
        join = " CROSS JOIN predictions AS p ON p.id = s.prediction_id"
        return self.source if self.key == "p.id" else self.source + join


class IndexScan:
    """A scan, and how far it has come.

    `found` has at most `limit` rows. `end` is the last id that was scanned, if the scan was ended there and there may
    be more after it; otherwise None. If it `counts`, `looked_at` is the number of rows that were scanned, including
    those of the last step. It `is_of_one_snapshot` if it ended in its first step.
    """

    def __init__(
        self,
        query: ScanQuery,
        columns: str,
        part: SearchPart,
        *,
        limit: int,
        backwards: bool = False,
        counts: bool = False,
    ) -> None:
        self.found: list[Any] = []
        self.end: str | None = None
        self.is_done = False
        self.is_of_one_snapshot = True
        self.looked_at = 0
        self._counts = counts
        self._query = query
        self._columns = columns
        self._limit = limit
        self._backwards = backwards
        self._reached = (part.newer_than if backwards else part.older_than) or (FIRST_ID if backwards else LAST_ID)
        self._begins_at = self._reached
        self._ids = self._beyond(query.ids, self._reached)
        self._most_rows = part.most_rows
        self._step_rows = min(_FIRST_STEP, query.step_rows)

    @property
    def has_moved(self) -> bool:
        """Whether it has moved on from where it began, so that the next scan can begin after that."""
        return self._reached != self._begins_at

    def step(self, connection: sqlite3.Connection) -> None:
        """Scan some more rows."""
        query, order = self._query, "ASC" if self._backwards else "DESC"
        rows = self._step_rows if query.own else min(self._step_rows, self._most_rows - self.looked_at)
        self._step_rows = query.step_rows
        bounds = f"{query.bounds} AND {query.key} >= ? AND {query.key} < ?"
        ends = connection.execute(
            f"SELECT {query.key} FROM {query.source} WHERE {bounds} ORDER BY {query.key} {order} LIMIT 2 OFFSET ?",
            (*query.bound_values, self._ids.first, self._ids.end, rows - 1),
        ).fetchall()
        last: str | None = ends[0][0] if len(ends) > 1 else None
        ids = self._ids if last is None else self._up_to(last)
        values = (*query.bound_values, ids.first, ids.end)
        if query.own is not None:
            bounds += f" AND {query.own[0]}"
            values = (*values, query.own[1])
        self.found += connection.execute(
            f"SELECT {self._columns} FROM {query.joined} WHERE {bounds}{query.conditions}"
            f" ORDER BY {query.key} {order} LIMIT ?",
            (*values, *query.condition_values, self._limit - len(self.found)),
        ).fetchall()
        if last is None:
            self.is_done = True
            if self._counts:
                self.looked_at += self._count(connection, bounds, values)[0]
        elif query.own is None:
            self._note(rows, last, last)
        elif len(self.found) >= self._limit:
            self.stop()
        else:
            self._note(*self._count(connection, bounds, values), last)

    def stop(self) -> None:
        """End the scan here."""
        self.is_done, self.end = True, self._reached

    def _count(self, connection: sqlite3.Connection, bounds: str, values: tuple[Any, ...]) -> tuple[int, str | None]:
        """The number of these rows, and the id of the last one."""
        key, last = self._query.key, "max" if self._backwards else "min"
        count, reached = connection.execute(
            f"SELECT count(*), {last}({key}) FROM {self._query.source} WHERE {bounds}", values
        ).fetchone()
        return count, reached

    def _beyond(self, ids: IdRange, prediction_id: str) -> IdRange:
        """The part of `ids` after this id, in the order of the scan."""
        return ids.after(prediction_id) if self._backwards else ids.before(prediction_id)

    def _up_to(self, prediction_id: str) -> IdRange:
        return self._ids.up_to(prediction_id) if self._backwards else self._ids.from_on(prediction_id)

    def _note(self, looked_at: int, reached: str | None, last: str) -> None:
        self.looked_at += looked_at
        self._reached, self._ids = reached or self._reached, self._beyond(self._ids, last)
        if self.looked_at >= self._most_rows or len(self.found) >= self._limit:
            self.stop()
        else:
            self.is_of_one_snapshot = False
