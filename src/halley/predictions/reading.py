"""Reading predictions whole: the row, and what the events of a running one say."""

from typing import Final

import msgspec

from halley.predictions.ports import PredictionStore
from halley.predictions.progress import Progress
from halley.predictions.records import Event, OutputFile, Prediction
from halley.predictions.status import Status

_EVENTS_AT_ONCE: Final = 2000


class Reader:
    """Reads for those who have the right already: by account (service) or by capability."""

    def __init__(self, store: PredictionStore) -> None:
        self._store = store

    async def filled(self, row: Prediction) -> Prediction:
        """The row with output, logs and metrics so far; a terminal one has them already."""
        return (await self.filled_to(row))[0]

    async def filled_to(self, row: Prediction) -> tuple[Prediction, int]:
        """The same, and the last event that it tells of; 0 if no events had to be read."""
        if row.is_terminal or row.status is Status.STARTING:
            return row, 0
        progress = Progress()
        after = 0
        while True:
            events = await self._store.read_events(row.id, after, _EVENTS_AT_ONCE)
            progress.add(events)
            after = events[-1].seq if events else after
            if len(events) < _EVENTS_AT_ONCE:
                break
        filled = msgspec.structs.replace(
            row, output=progress.output, files=progress.files, logs=progress.logs, metrics=progress.metrics
        )
        return filled, after

    async def events(
        self, prediction_id: str, after_seq: int, limit: int = 1000, limit_bytes: int | None = None
    ) -> list[Event]:
        """Events in order of `seq`; the caller has checked that it may see this prediction."""
        return await self._store.read_events(prediction_id, after_seq, limit, limit_bytes)

    async def find(self, prediction_id: str) -> Prediction | None:
        """The row whoever owns it: for capability links, which carry their right in themselves."""
        return await self._store.get(prediction_id)

    async def outline(self, prediction_id: str, account_id: str | None = None) -> Prediction | None:
        """The row without input, output and logs; without an account as `find`."""
        return await self._store.outline(prediction_id, account_id)

    async def output_file(self, prediction_id: str, index: int) -> OutputFile | None:
        """The file that a delivery link means; None when it is absent or its data was removed."""
        row = await self._store.outline(prediction_id)
        if row is None or row.data_removed_at is not None:
            return None
        files = (await self.filled(row)).files
        return next((file for file in files if file.index == index), None)
