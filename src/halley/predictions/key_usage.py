"""What a key has been used for lately: a count over its newest predictions."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from halley.predictions.search import SearchStore
from halley.predictions.status import Status

MOST_RUNS: Final = 1000


class KeyUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest predictions of a key, at most MOST_RUNS; `is_more` if there may be older ones."""

    by_status: Mapping[Status, int] = {}
    run_seconds: float = 0.0  # from start to end, of those that have ended
    oldest_created_at: datetime | None = None
    newest_created_at: datetime | None = None
    is_more: bool = False


class KeyUsages:
    """Counts when it is asked: nothing is written for it."""

    def __init__(self, store: SearchStore) -> None:
        self._store = store

    async def of_key(self, account_id: str, key_id: str) -> KeyUsage:
        """The usage of one key of the account. It looks at a limited number of the account's predictions."""
        found = await self._store.newest_runs(account_id, None, MOST_RUNS, key=key_id)
        runs = found.items
        if not runs:
            return KeyUsage(is_more=found.is_more)
        times = [
            run.completed_at - run.started_at
            for run in runs
            if run.started_at is not None and run.completed_at is not None
        ]
        return KeyUsage(
            by_status=Counter(run.status for run in runs),
            run_seconds=sum(time.total_seconds() for time in times),
            oldest_created_at=runs[-1].created_at,
            newest_created_at=runs[0].created_at,
            is_more=found.is_more,
        )
