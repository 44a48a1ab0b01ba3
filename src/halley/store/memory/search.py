"""Questions about many predictions, over all entries."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from halley.predictions.filters import PredictionFilter, fits_pattern
from halley.predictions.fingerprints import COMPARED_CHARACTERS
from halley.predictions.records import Prediction
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
from halley.predictions.status import UNSUCCESSFUL, WITH_ERROR, Source
from halley.store.memory.entries import fitting
from halley.store.memory.tables import MemoryPart


class MemorySearch(MemoryPart):
    """Implements `predictions.search.SearchStore`."""

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        backwards = part.newer_than is not None
        looked = self._walk(account_id, part)
        found = [row for row in looked[: part.most_rows] if self._fits(row, wanted, source)]
        items = fitting(found[: part.limit], part.limit_bytes)
        is_cut = len(found) > len(items)
        end = looked[part.most_rows - 1].id if len(looked) > part.most_rows else None
        has_more = is_cut or end is not None
        return FoundPredictions(
            items=tuple(items[::-1] if backwards else items),
            has_older=has_more if not backwards else True,
            has_newer=has_more if backwards else part.older_than is not None,
            resume=None if is_cut else end,
        )

    async def search_ids(self, account_id: str, wanted: PredictionFilter, part: SearchPart) -> FoundIds:
        page = await self.search(account_id, wanted, msgspec.structs.replace(part, newer_than=None, limit_bytes=None))
        ids = tuple(row.id for row in page.items)
        is_full = page.has_older and page.resume is None
        return FoundIds(ids=ids, resume=ids[-1] if is_full else page.resume)

    async def tags_of(self, prediction_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return {one: self.tables.tags[one] for one in prediction_ids if one in self.tables.tags}

    async def newest_runs(self, account_id: str, model: str | None, limit: int, *, key: str | None = None) -> FoundRuns:
        wanted = PredictionFilter(model=model, key=key)
        looked = list(self._newest(account_id))
        rows = [row for row in looked[:MOST_LOOKED_AT] if wanted.matches(row)][:limit]
        runs = [
            RunTimes(
                status=row.status,
                created_at=row.created_at,
                started_at=row.started_at,
                completed_at=row.completed_at,
            )
            for row in rows
        ]
        return FoundRuns(items=tuple(runs), is_more=len(looked) > MOST_LOOKED_AT or len(runs) == limit)

    async def load(self, account_id: str, model: str | None) -> Load:
        entries = [
            entry
            for entry in self._entries.values()
            if entry.prediction.account_id == account_id
            and entry.place is not None
            and not entry.prediction.is_terminal
            and (model is None or fits_pattern(entry.prediction.model, model))
        ][: MOST_COUNTED + 1]
        waiting = sum(entry.waits for entry in entries)
        return Load(waiting=waiting, running=len(entries) - waiting, is_more=len(entries) > MOST_COUNTED)

    async def failures(self, account_id: str, wanted: PredictionFilter, most_rows: int) -> FoundFailures:
        failed = PredictionFilter(
            statuses=UNSUCCESSFUL, created_after=wanted.created_after, created_before=wanted.created_before
        )
        rows = [row for row in self._newest(account_id) if failed.matches(row)]
        items = [
            Failure(
                id=row.id,
                model=row.model,
                error=(row.error or "")[:COMPARED_CHARACTERS],
                created_at=row.created_at,
            )
            for row in rows[:most_rows]
            if row.status in WITH_ERROR and self._fits(row, wanted, None)
        ]
        end = rows[most_rows - 1].id if len(rows) > most_rows else None
        return FoundFailures(items=tuple(items), looked_at=min(len(rows), most_rows), resume=end)

    def _newest(self, account_id: str) -> Iterator[Prediction]:
        for _, entry in sorted(self._entries.items(), reverse=True):
            if entry.prediction.account_id == account_id:
                yield entry.prediction

    def _walk(self, account_id: str, part: SearchPart) -> list[Prediction]:
        """All on the wanted side, in the order of reading."""
        newest_first = list(self._newest(account_id))
        if part.newer_than is not None:
            return [row for row in newest_first[::-1] if row.id > part.newer_than]
        return [row for row in newest_first if part.older_than is None or row.id < part.older_than]

    def _fits(self, row: Prediction, wanted: PredictionFilter, source: Source | None) -> bool:
        return source in (None, row.source) and wanted.matches(row, self.tables.tags.get(row.id, ()))
