"""The use cases over many predictions: find them by a filter, count them, group their errors."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from halley.clock import Clock
from halley.ids import made_at
from halley.predictions.error_groups import ErrorReport, group_errors
from halley.predictions.filters import PredictionFilter
from halley.predictions.records import Prediction
from halley.predictions.search import FoundIds, FoundPredictions, Load, RunTimes, SearchPart, SearchStore
from halley.predictions.status import Source, Status, has_succeeded

MOST_RUNS: Final = 1000
MOST_FAILURES: Final = 2000
_MOST_KEPT: Final = 64


class Keeper(Protocol):
    """Withholds expired data (implemented by the reader of predictions)."""

    def kept(self, row: Prediction) -> Prediction:
        """The row without its data, once that has expired."""
        ...


class OverviewStore(SearchStore, Protocol):
    """Also says whether anything has changed."""

    async def newest_offset(self) -> int:
        """The offset of the newest event of all; see PredictionStore."""
        ...


class TimeSpread(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: of half the predictions at most `p50`, of 95 in 100 at most `p95`. `count`: of how many."""

    count: int
    p50: float
    p95: float


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest predictions: how many, by status, and how long they waited and ran.

    `wait` is from create to start, `run` from start to end of those that succeeded; None without any.
    """

    count: int
    statuses: Mapping[Status, int]
    wait: TimeSpread | None
    run: TimeSpread | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The queue now, and the newest predictions."""

    load: Load
    newest: Newest


class Overview:
    """Questions about the predictions of an account. Each looks at a limited number of rows."""

    def __init__(self, *, store: OverviewStore, keeper: Keeper, clock: Clock) -> None:
        self._store = store
        self._keeper = keeper
        self._clock = clock
        self._kept: dict[tuple[str, str | None], tuple[int, Newest]] = {}

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        """See SearchStore.search; without data that has expired, and without what running ones have put out so far."""
        page = await self._store.search(account_id, wanted, part, source=source)
        return msgspec.structs.replace(page, items=tuple([self._keeper.kept(item) for item in page.items]))

    async def search_ids(self, account_id: str, wanted: PredictionFilter, part: SearchPart) -> FoundIds:
        """See SearchStore.search_ids."""
        return await self._store.search_ids(account_id, wanted, part)

    async def tags_of(self, prediction_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The tags of those that have any. The caller may see these predictions."""
        return await self._store.tags_of(prediction_ids)

    async def summary(self, account_id: str, model: str | None) -> Summary:
        """The queue, and the MOST_RUNS newest predictions; with `model`, a name or a pattern, of these models."""
        return Summary(load=await self._store.load(account_id, model), newest=await self._newest_of(account_id, model))

    async def _newest_of(self, account_id: str, model: str | None) -> Newest:
        """Read again only after something has changed: many pages that are open ask for it at the same time."""
        offset = await self._store.newest_offset()
        kept = self._kept.get((account_id, model))
        if kept is not None and kept[0] == offset:
            return kept[1]
        runs = (await self._store.newest_runs(account_id, model, MOST_RUNS)).items
        newest = Newest(
            count=len(runs),
            statuses={status: sum(run.status is status for run in runs) for status in Status},
            wait=_times(_waits(runs)),
            run=_times(_lengths(runs)),
        )
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[account_id, model] = offset, newest
        return newest

    async def errors(self, account_id: str, wanted: PredictionFilter, since: datetime) -> ErrorReport:
        """The groups of the MOST_FAILURES newest failed predictions that match, created at `since` or later."""
        until = self._clock.now()
        asked = msgspec.structs.replace(wanted, created_after=since)
        found = await self._store.failures(account_id, asked, MOST_FAILURES)
        looked_to = None if found.resume is None else made_at(found.resume)
        start = since if looked_to is None else max(since, looked_to)
        return await group_errors(found, start, max(until, start))


def _waits(runs: Iterable[RunTimes]) -> list[float]:
    return [(run.started_at - run.created_at).total_seconds() for run in runs if run.started_at is not None]


def _lengths(runs: Iterable[RunTimes]) -> list[float]:
    return [
        (run.completed_at - run.started_at).total_seconds()
        for run in runs
        if has_succeeded(run.status) and run.started_at is not None and run.completed_at is not None
    ]


def _times(seconds: list[float]) -> TimeSpread | None:
    if not seconds:
        return None
    ordered = sorted(max(0.0, one) for one in seconds)  # the clock may have been set back
    count = len(ordered)
    return TimeSpread(count=count, p50=ordered[_rank(count, 50)], p95=ordered[_rank(count, 95)])


def _rank(count: int, percent: int) -> int:
    """The place of the smallest value that so many of the values do not exceed."""
    return -(-count * percent // 100) - 1
