"""The conditions of a hold, and which events are urgent."""

from enum import Enum, auto
from typing import Final

from halley.predictions.records import Prediction
from halley.predictions.service import Predictions
from halley.predictions.status import EventKind

_EVENTS_AT_ONCE: Final = 500
URGENT: Final = frozenset(
    {EventKind.STARTED, EventKind.OUTPUT_ADDED, EventKind.OUTPUT_SET, EventKind.FINISHED, EventKind.DATA_REMOVED}
)
"""Events that change status or output. All others (logs, progress) are coalesced: sent a little later, together."""


class Until(Enum):
    """What a hold waits for. Every hold also ends with the prediction and with its time."""

    END = auto()
    CHANGE = auto()  # any new revision
    NEWS = auto()  # an urgent event; others after the hub's `coalesce_seconds`


async def urgent_and_last(predictions: Predictions, row: Prediction, after_seq: int) -> tuple[int, int]:
    """Of the events after `after_seq`: the last urgent one (0 if none), and the last of all."""
    urgent, last = 0, after_seq
    while True:
        events = await predictions.events(row, last, _EVENTS_AT_ONCE)
        urgent = max((event.seq for event in events if event.kind in URGENT), default=urgent)
        last = events[-1].seq if events else last
        if len(events) < _EVENTS_AT_ONCE:
            return urgent, last
