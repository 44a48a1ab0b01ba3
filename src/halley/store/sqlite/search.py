"""Searches over many predictions, each along one index and over a limited number of rows: `SearchStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.ids import first_id_at
from halley.predictions.filters import PredictionFilter, folded
from halley.predictions.fingerprints import COMPARED_CHARACTERS
from halley.predictions.search import (
    MOST_COUNTED,
    MOST_LOOKED_AT,
    Failure,
    FoundFailures,
    FoundIds,
    FoundPredictions,
    Load,
    RunTimes,
    SearchPart,
)
from halley.predictions.status import LIVE, UNSUCCESSFUL, WITH_ERROR, Source, Status
from halley.store.sqlite.paging import SIZE, Recent, fitting, id_bound, records
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.tags import read_tags

_FIRST_LOOK: Final = 500  # rows
_RUN: Final = "p.status, p.created_at, p.started_at, p.completed_at"
_FAILURE: Final = f"p.id, p.model, substr(p.error, 1, {COMPARED_CHARACTERS}), p.created_at"
# one of a canceled prediction that its holder has not left yet is neither waiting nor running
_ENTRIES: Final = (
    "(SELECT prediction_id, session_id IS NULL AS waits FROM queue WHERE account_id = ? AND NOT is_ended LIMIT ?)"
)
_LOAD: Final = f"SELECT waits, count(*) FROM {_ENTRIES} GROUP BY waits"
_LOAD_OF_MODEL: Final = (
    f"SELECT waits, count(*) FROM {_ENTRIES} CROSS JOIN predictions AS p ON p.id = prediction_id"
    " WHERE p.model GLOB ? GROUP BY waits"
)


class _Walk(msgspec.Struct, frozen=True):
    """The rows that are looked at, in the order of an id: those of an index, the queue, or a tag.

    `bounds` limit what is walked through, `tests` say which of it fits; both have their values.
    """

    source: str
    key: str
    bounds: str
    tests: str
    bound_values: tuple[Any, ...]
    test_values: tuple[Any, ...]

    def rows(
        self, connection: sqlite3.Connection, columns: str, part: SearchPart, *, backwards: bool, limit: int
    ) -> tuple[list[Any], str | None]:
        """The columns of rows that fit, and the last id that was looked at if there may be more after it."""
        # most pages are full after a few rows: to find where 20,000 rows end takes longer than to read such a page
        first = min(_FIRST_LOOK, part.most_rows)
        found, end = self._look(connection, columns, part, first, backwards=backwards, limit=limit)
        if end is not None and len(found) < limit and first < part.most_rows:
            found, end = self._look(connection, columns, part, part.most_rows, backwards=backwards, limit=limit)
        return found, end

    def _look(
        self,
        connection: sqlite3.Connection,
        columns: str,
        part: SearchPart,
        most_rows: int,
        *,
        backwards: bool,
        limit: int,
    ) -> tuple[list[Any], str | None]:
        bounds, values = self.bounds, self.bound_values
        start = part.newer_than if backwards else part.older_than
        before, after, order = (">", "<=", "ASC") if backwards else ("<", ">=", "DESC")
        if start is not None:
            bounds += f" AND {self.key} {before} ?"
            values = (*values, start)
        ends = connection.execute(
            f"SELECT {self.key} FROM {self.source} WHERE {bounds} ORDER BY {self.key} {order} LIMIT 2 OFFSET ?",
            (*values, most_rows - 1),
        ).fetchall()
        end: str | None = ends[0][0] if len(ends) > 1 else None
        if end is not None:
            bounds += f" AND {self.key} {after} ?"
            values = (*values, end)
        found = connection.execute(
            f"SELECT {columns} FROM {self._joined()} WHERE {bounds}{self.tests} ORDER BY {self.key} {order} LIMIT ?",
            (*values, *self.test_values, limit),
        ).fetchall()
        return found, end

    def _joined(self) -> str:
        joined = " CROSS JOIN predictions AS p ON p.id = s.prediction_id"
        return self.source if self.key == "p.id" else self.source + joined


class SearchRows(SqlitePart):
    """Implements `predictions.search.SearchStore`."""

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        return await self._reads.elsewhere(_read_page, self._recent.get, _walk(account_id, wanted, source), part)

    async def search_ids(self, account_id: str, wanted: PredictionFilter, part: SearchPart) -> FoundIds:
        return await self._reads.elsewhere(_read_ids, _walk(account_id, wanted), part)

    async def tags_of(self, prediction_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return await self._reads.elsewhere(read_tags, prediction_ids)

    async def newest_runs(
        self, account_id: str, model: str | None, limit: int, *, key: str | None = None
    ) -> list[RunTimes]:
        wanted = PredictionFilter(model=model, key=key)
        walk = _walk(account_id, wanted)
        part = SearchPart(limit=limit, most_rows=MOST_LOOKED_AT if wanted else limit)
        rows, _ = await self._reads.elsewhere(_rows, walk, _RUN, part)
        return [
            RunTimes(
                status=Status(status),
                created_at=from_micros(created),
                started_at=_at(started),
                completed_at=_at(completed),
            )
            for status, created, started, completed in rows
        ]

    async def load(self, account_id: str, model: str | None) -> Load:
        return await self._reads.elsewhere(_read_load, account_id, model)

    async def failures(self, account_id: str, wanted: PredictionFilter, most_rows: int) -> FoundFailures:
        if wanted.is_impossible:
            return FoundFailures(items=())
        walk = _walk(account_id, msgspec.structs.replace(wanted, statuses=WITH_ERROR))
        rows, end = await self._reads.elsewhere(_rows, walk, _FAILURE, SearchPart(limit=most_rows, most_rows=most_rows))
        failures = [
            Failure(id=name, model=model, error=error or "", created_at=from_micros(created))
            for name, model, error, created in rows
        ]
        return FoundFailures(items=tuple(failures), resume=end)


def _walk(account_id: str, wanted: PredictionFilter, source: Source | None = None) -> _Walk:
    """How to look for it: by the tag, else by the queue or the failed ones if only these can fit, else by all."""
    statuses = wanted.wanted_statuses
    if wanted.tag is not None:
        table, key, bounds, values = "tags AS s", "s.prediction_id", "s.account_id = ? AND s.tag = ?", [wanted.tag]
    elif statuses and statuses <= LIVE:
        # walked as a whole: there is no index by account, and its length is limited
        table, key, bounds, values = "queue AS s", "s.prediction_id", "s.account_id = ?", []
    elif statuses and statuses <= UNSUCCESSFUL:
        table, key, values = "predictions AS p INDEXED BY predictions_failed", "p.id", []
        bounds = "p.account_id = ? AND p.status IN ('failed', 'aborted')"  # worded as in the index
    else:
        table, key, values = "predictions AS p INDEXED BY predictions_of_account", "p.id", []
        bounds = "p.account_id = ?"
    tests = _Tests()
    if wanted.created_after is not None:
        bounds += f" AND {key} >= ?"
        values.append(first_id_at(wanted.created_after))
        tests.add("p.created_at >= ?", to_micros(wanted.created_after))
    if wanted.created_before is not None:
        bounds += f" AND {key} < ?"
        values.append(id_bound(wanted.created_before))
        tests.add("p.created_at < ?", to_micros(wanted.created_before))
    tests.add_filter(wanted, source)
    return _Walk(table, key, bounds, tests.text, (account_id, *values), tuple(tests.values))


class _Tests:
    """Conditions on a row, in the order of what they cost, and their values."""

    def __init__(self) -> None:
        self.text = ""
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        self.text += f" AND {condition}"
        self.values += values

    def add_filter(self, wanted: PredictionFilter, source: Source | None) -> None:
        """All of it but the tag and the times."""
        if wanted.is_impossible:
            self.add("p.number < 0")  # none: with a constant the named index could not be used
        statuses = wanted.wanted_statuses
        if statuses:
            self.add(f"p.status IN ({', '.join('?' * len(statuses))})", *sorted(statuses))
        if wanted.model is not None and "*" in wanted.model:
            self.add("p.model GLOB ?", _glob(wanted.model))
        for column, value in (
            ("model", None if wanted.model is None or "*" in wanted.model else wanted.model),
            ("key_id", wanted.key),
            ("provider", wanted.provider),
            ("source", source),
        ):
            if value is not None:
                self.add(f"p.{column} = ?", value)
        if wanted.error is not None:
            self.add("instr(lower(p.error), ?) > 0", folded(wanted.error))
        if wanted.group is not None:
            self.add("error_group(p.model, p.error) = ?", wanted.group)


def _glob(pattern: str) -> str:
    """The pattern with only `*` special."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _read_page(connection: sqlite3.Connection, recent: Recent, walk: _Walk, part: SearchPart) -> FoundPredictions:
    backwards = part.newer_than is not None
    heads, end = walk.rows(connection, f"p.id, {SIZE}", part, backwards=backwards, limit=part.limit + 1)
    count = fitting([size for _, size in heads[: part.limit]], part.limit_bytes)
    ids = [prediction_id for prediction_id, _ in heads[:count]]
    is_cut = len(heads) > count
    has_more = is_cut or end is not None
    items = records(connection, recent, ids[::-1] if backwards else ids)
    return FoundPredictions(
        items=items,
        has_older=has_more if not backwards else True,
        has_newer=has_more if backwards else part.older_than is not None,
        resume=None if is_cut else end,
    )


def _read_ids(connection: sqlite3.Connection, walk: _Walk, part: SearchPart) -> FoundIds:
    rows, end = walk.rows(connection, "p.id", part, backwards=False, limit=part.limit + 1)
    ids = tuple(prediction_id for (prediction_id,) in rows[: part.limit])
    return FoundIds(ids=ids, resume=ids[-1] if len(rows) > part.limit else end)


def _rows(connection: sqlite3.Connection, walk: _Walk, columns: str, part: SearchPart) -> tuple[list[Any], str | None]:
    return walk.rows(connection, columns, part, backwards=False, limit=part.limit)


def _read_load(connection: sqlite3.Connection, account_id: str, model: str | None) -> Load:
    if model is None:
        counts: dict[int, int] = dict(connection.execute(_LOAD, (account_id, MOST_COUNTED + 1)).fetchall())
    else:
        counts = dict(connection.execute(_LOAD_OF_MODEL, (account_id, MOST_COUNTED + 1, _glob(model))).fetchall())
    waiting, running = counts.get(1, 0), counts.get(0, 0)
    return Load(waiting=waiting, running=running, is_more=waiting + running > MOST_COUNTED)


def _at(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
