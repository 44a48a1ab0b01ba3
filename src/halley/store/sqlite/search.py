"""Searches over many predictions, each along one index and over a limited number of rows: `SearchStore` in SQL."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from halley.clock import from_micros, to_micros
from halley.ids import FIRST_ID, LAST_ID
from halley.predictions.filters import PredictionFilter, folded
from halley.predictions.fingerprints import COMPARED_CHARACTERS
from halley.predictions.search import (
    MOST_COUNTED,
    MOST_LOOKED_AT,
    Failure,
    FoundFailures,
    FoundIds,
    FoundPredictions,
    FoundRuns,
    Load,
    RunTimes,
    SearchPart,
)
from halley.predictions.status import LIVE, UNSUCCESSFUL, WITH_ERROR, Source, Status
from halley.store.sqlite.id_ranges import IdRange
from halley.store.sqlite.index_scan import IndexScan, ScanQuery
from halley.store.sqlite.paging import SIZE, Recent, fitting, records
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.tags import read_tags

T = TypeVar("T")

_RUN: Final = "p.status, p.created_at, p.started_at, p.completed_at"
_FAILURE: Final = f"p.id, p.model, substr(p.error, 1, {COMPARED_CHARACTERS}), p.created_at"
_ENTRIES_AT_ONCE: Final = 4000
_OF_MODEL_AT_ONCE: Final = 1000  # the prediction of each is read
_END_OF_ENTRIES: Final = (
    "SELECT prediction_id FROM queue WHERE prediction_id > ? ORDER BY prediction_id LIMIT 1 OFFSET ?"
)
# the entry of a canceled prediction that its worker has not released yet is neither waiting nor running
_ENTRIES: Final = (
    "SELECT session_id IS NULL AS waits FROM queue{join} WHERE prediction_id > ? AND prediction_id <= ?"
    " AND queue.account_id = ? AND NOT is_ended{of_model} LIMIT ?"
)
_COUNT: Final = "SELECT count(*), coalesce(sum(waits), 0) FROM ({entries})"
_LOAD: Final = _COUNT.format(entries=_ENTRIES.format(join="", of_model=""))
_LOAD_OF_MODEL: Final = _COUNT.format(
    entries=_ENTRIES.format(join=" CROSS JOIN predictions AS p ON p.id = prediction_id", of_model=" AND p.model GLOB ?")
)


class SearchRows(SqlitePart):
    """Implements `predictions.search.SearchStore`."""

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        backwards = part.newer_than is not None
        query = _scan_query(account_id, wanted, source)
        scan = IndexScan(query, f"p.id, {SIZE}", part, limit=part.limit + 1, backwards=backwards)
        return await self._run_scan(
            account_id, scan, part, partial(_read_page, self._recent.get, wanted.wanted_statuses, part)
        )

    async def search_ids(self, account_id: str, wanted: PredictionFilter, part: SearchPart) -> FoundIds:
        scan = IndexScan(_scan_query(account_id, wanted), "p.id", part, limit=part.limit + 1)
        return await self._run_scan(account_id, scan, part, partial(_read_ids, part))

    async def tags_of(self, prediction_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return await self._reads.elsewhere(read_tags, prediction_ids)

    async def newest_runs(self, account_id: str, model: str | None, limit: int, *, key: str | None = None) -> FoundRuns:
        wanted = PredictionFilter(model=model, key=key)
        query = _scan_query(account_id, wanted)
        part = SearchPart(limit=limit, most_rows=MOST_LOOKED_AT if wanted else limit)
        scan = IndexScan(query, _RUN, part, limit=limit)
        rows = await self._run_scan(account_id, scan, part, _read_rows)
        runs = [
            RunTimes(
                status=Status(status),
                created_at=from_micros(created),
                started_at=_at(started),
                completed_at=_at(completed),
            )
            for status, created, started, completed in rows
        ]
        return FoundRuns(items=tuple(runs), is_more=scan.end is not None or len(runs) == limit)

    async def load(self, account_id: str, model: str | None) -> Load:
        counts = _Counts(account_id, model)
        while await self._reads.in_turn(account_id, counts.step):
            pass
        return Load(waiting=counts.waiting, running=counts.running, is_more=counts.is_more)

    async def failures(self, account_id: str, wanted: PredictionFilter, most_rows: int) -> FoundFailures:
        if wanted.is_impossible or (wanted.statuses and not wanted.statuses & WITH_ERROR):
            return FoundFailures(items=())
        query = _scan_query(account_id, msgspec.structs.replace(wanted, statuses=WITH_ERROR))
        part = SearchPart(limit=most_rows, most_rows=most_rows)
        scan = IndexScan(query, _FAILURE, part, limit=most_rows, counts=True)
        rows = await self._run_scan(account_id, scan, part, _read_rows)
        failures = [
            Failure(id=name, model=model, error=error or "", created_at=from_micros(created))
            for name, model, error, created in rows
        ]
        return FoundFailures(items=tuple(failures), looked_at=scan.looked_at, resume=scan.end)

    async def _run_scan(
        self, account_id: str, scan: IndexScan, part: SearchPart, finish: Callable[[sqlite3.Connection, IndexScan], T]
    ) -> T:
        """Run all steps of the scan; returns what `finish` makes of the rows that were found."""
        while True:
            outcome: T | None = await self._reads.in_turn(account_id, _step, scan, finish)
            if outcome is not None:
                return outcome
            if (
                part.is_over() and scan.has_moved
            ):  # at least one step: a client that has closed its sending side also gets a whole answer in the end
                scan.stop()


def _scan_query(account_id: str, wanted: PredictionFilter, source: Source | None = None) -> ScanQuery:
    """The index to scan: that of the tag; otherwise the queue, or the failed predictions, if only these can match;
    otherwise all predictions of the account.
    """
    statuses = wanted.wanted_statuses
    own: tuple[str, str] | None = None
    values: list[Any] = [account_id]
    if wanted.tag is not None:
        table, key, bounds = "tags AS s", "s.prediction_id", "s.account_id = ? AND s.tag = ?"
        values.append(wanted.tag)
    elif statuses and statuses <= LIVE:
        # there is no index by account: each create would write it
        table, key, bounds, values, own = "queue AS s", "s.prediction_id", "true", [], ("s.account_id = ?", account_id)
    elif statuses and statuses <= UNSUCCESSFUL:
        table, key = "predictions AS p INDEXED BY predictions_failed", "p.id"
        bounds = "p.account_id = ? AND p.status IN ('failed', 'aborted')"  # worded as in the index
    else:
        table, key = "predictions AS p INDEXED BY predictions_of_account", "p.id"
        bounds = "p.account_id = ?"
    conditions = _Conditions()
    if wanted.created_after is not None:
        conditions.add("p.created_at >= ?", to_micros(wanted.created_after))
    if wanted.created_before is not None:
        conditions.add("p.created_at < ?", to_micros(wanted.created_before))
    conditions.add_filter(wanted, source)
    return ScanQuery(
        source=table,
        key=key,
        bounds=bounds,
        ids=IdRange.of_times(wanted.created_after, wanted.created_before),
        conditions=conditions.text,
        bound_values=tuple(values),
        condition_values=tuple(conditions.values),
        step_rows=_step_rows(wanted),
        own=own,
    )


def _step_rows(wanted: PredictionFilter) -> int:
    """How many rows one step looks at, so that it takes a few milliseconds at most."""
    if wanted.group is not None:  # the text of each error is read by Python
        return 50
    return 500 if wanted.error is not None else 2000


class _Conditions:
    """SQL conditions on a row, the cheapest first, and their values."""

    def __init__(self) -> None:
        self.text = ""
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        self.text += f" AND {condition}"
        self.values += values

    def add_statuses(self, statuses: frozenset[Status]) -> None:
        """One of these, or any if none is given."""
        if statuses:
            self.add(f"p.status IN ({', '.join('?' * len(statuses))})", *sorted(statuses))

    def add_filter(self, wanted: PredictionFilter, source: Source | None) -> None:
        """All conditions of the filter, except the tag and the times."""
        if wanted.is_impossible:
            self.add(
                "p.number < 0"
            )  # matches nothing; with a constant condition, SQLite could not use the index that is named
        self.add_statuses(wanted.wanted_statuses)
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


def _step(
    connection: sqlite3.Connection, scan: IndexScan, finish: Callable[[sqlite3.Connection, IndexScan], T]
) -> T | None:
    """Scan one step; None if the scan is not done."""
    if not scan.is_done:
        scan.step(connection)
    return finish(connection, scan) if scan.is_done else None


def _read_page(
    recent: Recent, statuses: frozenset[Status], part: SearchPart, connection: sqlite3.Connection, scan: IndexScan
) -> FoundPredictions:
    """The page with the current records: a prediction that has changed during the scan may not match any more."""
    backwards = part.newer_than is not None
    scanned = [prediction_id for prediction_id, _ in scan.found[: part.limit]]
    sizes = dict(scan.found) if scan.is_of_one_snapshot else _sizes(connection, statuses, scanned)
    count = fitting([sizes.get(prediction_id, 0) for prediction_id in scanned], part.limit_bytes)
    is_cut = len(scan.found) > count
    has_more = is_cut or scan.end is not None
    ids = [prediction_id for prediction_id in scanned[:count] if prediction_id in sizes]
    rows = records(connection, recent, ids)  # recent ones are newer than what was read
    items = [row for row in rows if not statuses or row.status in statuses]
    resume = scan.end
    if is_cut:
        resume = scanned[count - 1] if not items or items[-1].id != scanned[count - 1] else None
    return FoundPredictions(
        items=tuple(items[::-1] if backwards else items),
        has_older=has_more if not backwards else True,
        has_newer=has_more if backwards else part.older_than is not None,
        resume=resume,
    )


def _sizes(connection: sqlite3.Connection, statuses: frozenset[Status], ids: list[str]) -> dict[str, int]:
    """The sizes of those that have one of these statuses, or any if none is given."""
    conditions = _Conditions()
    conditions.add_statuses(statuses)
    statement = (
        f"SELECT p.id, {SIZE} FROM predictions AS p WHERE p.id IN (SELECT value FROM json_each(?)){conditions.text}"  # noqa: S608 - constants
    )
    return dict(connection.execute(statement, (msgspec.json.encode(ids).decode(), *conditions.values)).fetchall())


def _read_ids(part: SearchPart, connection: sqlite3.Connection, scan: IndexScan) -> FoundIds:  # noqa: ARG001
    rows = scan.found
    ids = tuple(prediction_id for (prediction_id,) in rows[: part.limit])
    return FoundIds(ids=ids, resume=ids[-1] if len(rows) > part.limit else scan.end)


def _read_rows(connection: sqlite3.Connection, scan: IndexScan) -> list[Any]:  # noqa: ARG001
    return scan.found


class _Counts:
    """Entries of the queue of an account, counted so far."""

    def __init__(self, account_id: str, model: str | None) -> None:
        self.waiting = self.running = 0
        self._account_id = account_id
        self._model = None if model is None else _glob(model)
        self._after = FIRST_ID

    def step(self, connection: sqlite3.Connection) -> bool:
        """Count some more; False if there are no more, or enough."""
        at_once = _ENTRIES_AT_ONCE if self._model is None else _OF_MODEL_AT_ONCE
        ends = connection.execute(_END_OF_ENTRIES, (self._after, at_once - 1)).fetchall()
        end = ends[0][0] if ends else LAST_ID
        values: tuple[Any, ...] = (self._after, end, self._account_id)
        most = MOST_COUNTED + 1 - self.waiting - self.running
        if self._model is None:
            rows = connection.execute(_LOAD, (*values, most))
        else:
            rows = connection.execute(_LOAD_OF_MODEL, (*values, self._model, most))
        counted, waiting = rows.fetchone()
        self.waiting += waiting
        self.running += counted - waiting
        self._after = end
        return bool(ends) and not self.is_more

    @property
    def is_more(self) -> bool:
        return self.waiting + self.running > MOST_COUNTED


def _at(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
