"""Finds predictions by a filter, and what an operator asks of many: the newest runs, the queue, the failures.

All of it is bounded: each question looks at a limited number of rows, however many are stored.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from halley.predictions.filters import PredictionFilter
from halley.predictions.ports import Page
from halley.predictions.status import Source, Status

MOST_LOOKED_AT: Final = 20_000
"""Rows for one page of a search."""
MOST_COUNTED: Final = 10_000
"""Entries of the queue for one count."""


def never() -> bool:
    """Its reader waits for all of it."""
    return False


class SearchPart(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of what is found. `older_than`/`newer_than` are ids, as in `PredictionStore.page`; at most one is
    given. Once `is_over` is true its reader waits no more: the search may end with what it has found, and say where.
    """

    limit: int
    older_than: str | None = None
    newer_than: str | None = None
    limit_bytes: int | None = None
    most_rows: int = MOST_LOOKED_AT
    is_over: Callable[[], bool] = never


class FoundPredictions(Page, frozen=True, kw_only=True):
    """A page, which may have fewer items than there are.

    `resume` is the last id that was looked at, if the search stopped there: the search goes on at that id, in the same
    direction. None: the last item is the last that was looked at.
    """

    resume: str | None = None


class FoundIds(msgspec.Struct, frozen=True, kw_only=True):
    """Ids, newest first; `resume` as in FoundPredictions, also where `limit` was reached. None: there is no more."""

    ids: tuple[str, ...]
    resume: str | None = None


class RunTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a prediction."""

    status: Status
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class FoundRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `is_more` if there may be older ones."""

    items: tuple[RunTimes, ...]
    is_more: bool


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How many wait and run now; `is_more` if there are more than could be counted."""

    waiting: int
    running: int
    is_more: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed prediction; of its error the beginning, which makes its fingerprint."""

    id: str
    model: str
    error: str
    created_at: datetime


class FoundFailures(msgspec.Struct, frozen=True, kw_only=True):
    """Failed predictions, newest first, of so many that were looked at; `resume` is the last id that was looked at, if
    there may be older ones.
    """

    items: tuple[Failure, ...]
    looked_at: int = 0
    resume: str | None = None


class SearchStore(Protocol):
    """Questions about many predictions of one account. In the same database as `PredictionStore`."""

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        """A page of the account's predictions that match, newest first; `logs` may be left empty.

        It looks at `part.most_rows` at most, and then returns what it has found. A page that is asked for after or
        before an id says that there is more on that side, without looking.
        """
        ...

    async def search_ids(self, account_id: str, wanted: PredictionFilter, part: SearchPart) -> FoundIds:
        """The ids of the same, in the order of `older_than`; `newer_than` and `limit_bytes` are not used."""
        ...

    async def tags_of(self, prediction_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The tags of those of these predictions that have any, in the order in which they were given."""
        ...

    async def newest_runs(self, account_id: str, model: str | None, limit: int, *, key: str | None = None) -> FoundRuns:
        """The newest predictions of the account, or of a model or a key of it. Looks at MOST_LOOKED_AT at most."""
        ...

    async def load(self, account_id: str, model: str | None) -> Load:
        """The queue of the account, or what is of a model in it. Counts MOST_COUNTED at most."""
        ...

    async def failures(self, account_id: str, wanted: PredictionFilter, most_rows: int) -> FoundFailures:
        """The newest failed predictions that match. Looks at so many failed or aborted ones at most; with a tag, at so
        many that have it, of any status.
        """
        ...
