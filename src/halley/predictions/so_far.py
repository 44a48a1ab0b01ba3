"""What running predictions have said, kept between reads: a poll of a long output reads only what came since the last.

Without it each poll would read and fold the whole log again, and following an output by polling would take the square
of its length.
"""

from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from typing import Final

import msgspec

from halley.predictions.progress import Progress
from halley.predictions.records import Event, Prediction

LIMIT_BYTES: Final = 16 * 2**20
_OVERHEAD_BYTES: Final = 120  # of an event, beside its data


class SoFar:
    """The fold of one prediction's events up to `after`, the `seq` of the last one."""

    __slots__ = ("_progress", "after", "size")

    def __init__(self) -> None:
        self._progress = Progress()
        self.after = 0
        self.size = 0

    def add(self, events: Sequence[Event]) -> None:
        """Take in events without a gap behind those that were here when they were asked for.

        Some of them may be known by now: others read at the same time.
        """
        new = [event for event in events if event.seq > self.after]
        if new:
            self._progress.add(new)
            self.after = new[-1].seq
            self.size += sum(len(event.data) + _OVERHEAD_BYTES for event in new)

    def fill(self, row: Prediction) -> Prediction:
        """The row with output, files, logs and metrics; nothing that is added later changes it."""
        progress = self._progress
        return msgspec.structs.replace(
            row,
            output=progress.output,
            files=progress.files,
            logs=progress.logs,
            metrics=deepcopy(progress.metrics) if progress.metrics else {},
        )


class Running:
    """What is kept about predictions that run; the least recently read first out, bounded by bytes."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size = 0
        self._kept: OrderedDict[str, tuple[SoFar, int]] = OrderedDict()  # with its size when it was kept

    def of(self, prediction_id: str) -> SoFar:
        """What is known; nothing yet, if it is not."""
        kept = self._kept.get(prediction_id)
        return SoFar() if kept is None else kept[0]

    def keep(self, prediction_id: str, so_far: SoFar) -> None:
        """It was read on; what is too large for all of them together is not kept."""
        self.forget(prediction_id)
        if so_far.size > self._limit_bytes:
            return
        self._kept[prediction_id] = so_far, so_far.size
        self._size += so_far.size
        while self._size > self._limit_bytes:
            self.forget(next(iter(self._kept)))

    def forget(self, prediction_id: str) -> None:
        """It runs no more. Harmless if nothing is kept."""
        kept = self._kept.pop(prediction_id, None)
        if kept is not None:
            self._size -= kept[1]
