"""Corrects deadlines of predictions that were being stored when the wall clock was set."""

from datetime import datetime
from typing import Protocol

import msgspec

from halley.predictions.records import Prediction


class Current(Protocol):
    """A clock of a store (`WallClock` and its wrappers)."""

    def current(self, at: datetime) -> datetime:
        """See `WallClock.current`."""
        ...


def in_current_time(prediction: Prediction, clock: Current) -> Prediction:
    """The new prediction with a deadline at the intended distance."""
    if prediction.deadline_at is None:
        return prediction
    moved = clock.current(prediction.created_at) - prediction.created_at
    if not moved:
        return prediction
    return msgspec.structs.replace(prediction, deadline_at=prediction.deadline_at + moved)
