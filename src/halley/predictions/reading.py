"""Reads predictions for display: the row, the progress of a running one, and no data after its retention period.

Expired data is withheld at once, even before it is removed: a server that was down for a week shows nothing that should
have been removed meanwhile, and no link is made to it.
"""

import asyncio
from typing import Final

from halley.clock import Clock
from halley.predictions.lifecycle import without_data
from halley.predictions.ports import ExpiryPolicy, PredictionStore
from halley.predictions.progress_cache import CachedProgress, ProgressCache
from halley.predictions.records import Event, OutputFile, Prediction
from halley.predictions.status import Status

_EVENTS_AT_ONCE: Final = 2000


class PredictionReader:
    """Reads for callers whose access was checked: by account (service) or by capability."""

    def __init__(
        self, *, store: PredictionStore, data_ends: ExpiryPolicy, clock: Clock, running: ProgressCache | None = None
    ) -> None:
        """Without `running` nothing is cached between reads."""
        self._store = store
        self._data_ends = data_ends
        self._clock = clock
        self._running = running

    def kept(self, row: Prediction) -> Prediction:
        """The row without its data, once that has expired; as it will be when the data is removed."""
        ends_at = self._data_ends.ends_at(row)
        if ends_at is None or row.data_removed_at is not None or self._clock.now() < ends_at:
            return row
        return without_data(row, ends_at)

    async def filled(self, row: Prediction) -> Prediction:
        """The row with output, logs and metrics so far; a terminal one has them already."""
        return (await self.filled_to(row))[0]

    async def filled_to(self, row: Prediction) -> tuple[Prediction, int]:
        """The same, and the number of the last event in it; 0 if no events were read."""
        if row.is_terminal or row.status is Status.STARTING:
            if self._running is not None:
                self._running.forget(row.id)
            return row, 0
        cached = CachedProgress() if self._running is None else self._running.of(row.id)
        while True:
            events = await self._store.read_events(row.id, cached.after, _EVENTS_AT_ONCE)
            cached.add(events)
            if len(events) < _EVENTS_AT_ONCE:
                break
            await asyncio.sleep(0)  # 100,000 pieces of output take a second: other work continues in between
        if self._running is not None:
            self._running.keep(row.id, cached)
        return cached.fill(row), cached.after

    async def events(
        self, row: Prediction, after_seq: int, limit: int = 1000, limit_bytes: int | None = None
    ) -> list[Event]:
        """Events in order of `seq`; without data if the row has none any more. The caller may see this prediction."""
        has_data = row.data_removed_at is None
        return await self._store.read_events(row.id, after_seq, limit, limit_bytes, with_data=has_data)

    async def history(self, row: Prediction, after_seq: int, limit: int) -> list[Event]:
        """Only the events that stay when the data is removed: its steps, without output, logs and metrics."""
        return await self._store.read_events(row.id, after_seq, limit, with_data=False)

    async def find(self, prediction_id: str) -> Prediction | None:
        """The row of any owner: for capability links, which grant access by themselves."""
        row = await self._store.get(prediction_id)
        return None if row is None else self.kept(row)

    def just_ended(self, prediction_id: str) -> Prediction | None:
        """What `find` would return, if the prediction ended a moment ago and nothing needs to be waited for."""
        row = self._store.just_ended(prediction_id)
        if row is None:
            return None
        if self._running is not None:
            self._running.forget(prediction_id)
        return self.kept(row)

    async def outline(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """The row without input, output and logs; without an account as `find`."""
        row = await self._store.outline(prediction_id, account_id)
        return None if row is None else self.kept(row)

    async def output_file(self, prediction_id: str, index: int, *, account_id: str | None = None) -> OutputFile | None:
        """The file of a delivery link; None if the file, its data or the account's access is absent."""
        row = await self.outline(prediction_id)
        if row is None or row.data_removed_at is not None or account_id not in (None, row.account_id):
            return None
        files = (await self.filled(row)).files
        return next((file for file in files if file.index == index), None)
