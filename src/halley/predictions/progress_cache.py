"""Caches the progress of running predictions between reads: a poll of a long output reads only the new events.

Without it each poll would read and fold the whole log again, and following an output by polling would take quadratic
time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from halley.clock import Clock
from halley.predictions.progress import Progress
from halley.predictions.records import Event, Prediction
from halley.predictions.status import EventKind

LIMIT_BYTES: Final = 48 * 2**20
KEPT_SECONDS: Final = 60.0
_OVERHEAD_BYTES: Final = 120  # of a piece of output or log, besides its text
_FOLDED: Final = frozenset(
    {
        EventKind.OUTPUT_ADDED,
        EventKind.OUTPUT_SET,
        EventKind.LOGGED,
        EventKind.ATTEMPT_LOST,
        EventKind.METRIC_RECORDED,
    }
)


class CachedProgress:
    """The fold of one prediction's events up to `after`, the `seq` of the last one."""

    __slots__ = ("_metrics", "_progress", "after", "size")

    def __init__(self) -> None:
        self._progress = Progress()
        self._metrics = b"{}"
        self.after = 0
        self.size = 0

    def add(self, events: Sequence[Event]) -> None:
        """Add events without a gap after those that were present when they were requested.

        Some of them may be known by now, because other reads run at the same time.
        """
        new = [event for event in events if event.seq > self.after]
        if not new:
            return
        self._progress.add(new)
        self.after = new[-1].seq
        self.size += sum(len(event.data) + _OVERHEAD_BYTES for event in new if event.kind in _FOLDED)
        if any(event.kind is EventKind.METRIC_RECORDED or event.kind is EventKind.STARTED for event in new):
            self._metrics = msgspec.json.encode(self._progress.metrics)

    def fill(self, row: Prediction) -> Prediction:
        """The row with output, files, logs and metrics; later additions do not change it."""
        progress = self._progress
        metrics: dict[str, Any] = msgspec.json.decode(self._metrics)
        return msgspec.structs.replace(
            row, output=progress.output, files=progress.files, logs=progress.logs, metrics=metrics
        )


class ProgressCache:
    """Progress of running predictions; the least recently read is removed first; limited in bytes.

    It gets no notice of ends or removed data, so entries that are not read again are dropped soon: `run`.
    """

    def __init__(self, clock: Clock, limit_bytes: int = LIMIT_BYTES) -> None:
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._size = 0
        # with its size and the time of the last read
        self._kept: OrderedDict[str, tuple[CachedProgress, int, float]] = OrderedDict()

    def of(self, prediction_id: str) -> CachedProgress:
        """The known progress; empty at first."""
        kept = self._kept.get(prediction_id)
        return CachedProgress() if kept is None else kept[0]

    def keep(self, prediction_id: str, cached: CachedProgress) -> None:
        """Store progress after a read; progress that is larger than the whole cache is not stored."""
        self.forget(prediction_id)
        if cached.size > self._limit_bytes:
            return
        self._kept[prediction_id] = cached, cached.size, self._clock.monotonic()
        self._size += cached.size
        while self._size > self._limit_bytes:
            self.forget(next(iter(self._kept)))

    def forget(self, prediction_id: str) -> None:
        """The prediction has ended. Does nothing if nothing is cached."""
        kept = self._kept.pop(prediction_id, None)
        if kept is not None:
            self._size -= kept[1]

    async def run(self) -> None:
        """Drop entries that were not read for KEPT_SECONDS. Never ends by itself."""
        while True:
            await self._clock.sleep(KEPT_SECONDS / 2)
            before = self._clock.monotonic() - KEPT_SECONDS
            for prediction_id in [name for name, (_, _, read_at) in self._kept.items() if read_at <= before]:
                self.forget(prediction_id)
