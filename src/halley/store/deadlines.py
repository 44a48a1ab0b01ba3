"""Deadlines of predictions that were on their way to the store when the wall clock was set."""

from datetime import datetime
from typing import Protocol

import msgspec

from halley.predictions.records import Prediction


class Current(Protocol):
    """A clock of a store (`WallClock` and what is built on it)."""

    def current(self, at: datetime) -> datetime:
        """See `WallClock.current`."""
        ...


def in_current_time(prediction: Prediction, clock: Current) -> Prediction:
    """The new prediction with a deadline that is as far away as it was meant to be."""
    if prediction.deadline_at is None:
        return prediction
    moved = clock.current(prediction.created_at) - prediction.created_at
    if not moved:
        return prediction
    return msgspec.structs.replace(prediction, deadline_at=prediction.deadline_at + moved)
