"""Walks along one index in the order of ids, in steps: each looks at a limited number of rows, in one snapshot.

Others read between two steps. A step begins after the last id of the one before, so nothing is found twice and nothing
is left out, also where predictions are created or changed meanwhile.
"""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from typing import Any, Final

import msgspec

from halley.ids import FIRST_ID, LAST_ID
from halley.predictions.search import SearchPart
from halley.store.sqlite.id_ranges import IdRange

_FIRST_STEP: Final = 500  # most pages are full after a few rows, and to find where many end takes longer than these


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that are looked at, in the order of an id: those of an index, the queue, or a tag.

    `bounds` and `ids` limit what is walked through, `tests` say which of it fits. `own` is a test, with its value,
    where rows of all accounts are walked through: only the own ones count, and only their ids are returned.
    """

    source: str
    key: str
    bounds: str
    ids: IdRange
    tests: str
    bound_values: tuple[Any, ...]
    test_values: tuple[Any, ...]
    step_rows: int
    own: tuple[str, Any] | None = None

    @property
    def joined(self) -> str:
        """The source with its predictions."""
        join = " CROSS JOIN predictions AS p ON p.id = s.prediction_id"
        return self.source if self.key == "p.id" else self.source + join


class Walker:
    """How far a walk has come. `found` has `limit` rows at most; `end` is the last id that was looked at, if the walk
    ended there though there may be more after it. If it `counts`, `looked_at` is the number of all rows. It
    `is_of_one_snapshot` if it ended in its first step.
    """

    def __init__(
        self,
        walk: Walk,
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
        self._walk = walk
        self._columns = columns
        self._limit = limit
        self._backwards = backwards
        self._reached = (part.newer_than if backwards else part.older_than) or (FIRST_ID if backwards else LAST_ID)
        self._begins_at = self._reached
        self._ids = self._beyond(walk.ids, self._reached)
        self._most_rows = part.most_rows
        self._step_rows = min(_FIRST_STEP, walk.step_rows)

    @property
    def has_moved(self) -> bool:
        """Whether the next walk would begin elsewhere."""
        return self._reached != self._begins_at

    def step(self, connection: sqlite3.Connection) -> None:
        """Look at some more rows."""
        walk, order = self._walk, "ASC" if self._backwards else "DESC"
        rows = self._step_rows if walk.own else min(self._step_rows, self._most_rows - self.looked_at)
        self._step_rows = walk.step_rows
        bounds = f"{walk.bounds} AND {walk.key} >= ? AND {walk.key} < ?"
        ends = connection.execute(
            f"SELECT {walk.key} FROM {walk.source} WHERE {bounds} ORDER BY {walk.key} {order} LIMIT 2 OFFSET ?",
            (*walk.bound_values, self._ids.first, self._ids.end, rows - 1),
        ).fetchall()
        last: str | None = ends[0][0] if len(ends) > 1 else None
        ids = self._ids if last is None else self._up_to(last)
        values = (*walk.bound_values, ids.first, ids.end)
        if walk.own is not None:
            bounds += f" AND {walk.own[0]}"
            values = (*values, walk.own[1])
        self.found += connection.execute(
            f"SELECT {self._columns} FROM {walk.joined} WHERE {bounds}{walk.tests} ORDER BY {walk.key} {order} LIMIT ?",
            (*values, *walk.test_values, self._limit - len(self.found)),
        ).fetchall()
        if last is None:
            self.is_done = True
            if self._counts:
                self.looked_at += self._count(connection, bounds, values)[0]
        elif walk.own is None:
            self._note(rows, last, last)
        elif len(self.found) >= self._limit:
            self.stop()
        else:
            self._note(*self._count(connection, bounds, values), last)

    def stop(self) -> None:
        """Look at no more."""
        self.is_done, self.end = True, self._reached

    def _count(self, connection: sqlite3.Connection, bounds: str, values: tuple[Any, ...]) -> tuple[int, str | None]:
        """How many rows these are, and the last of them."""
        key, last = self._walk.key, "max" if self._backwards else "min"
        count, reached = connection.execute(
            f"SELECT count(*), {last}({key}) FROM {self._walk.source} WHERE {bounds}", values
        ).fetchone()
        return count, reached

    def _beyond(self, ids: IdRange, prediction_id: str) -> IdRange:
        """What comes after this id, in the order of the walk."""
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
