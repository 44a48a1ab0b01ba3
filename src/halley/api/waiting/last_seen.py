"""What polling clients have seen.

A client that polls again although nothing has changed will poll a third time: it is held until something changes.
Source: design section 7; contract section 8.2.
"""

from collections import OrderedDict
from typing import Final

import msgspec

HABIT_SECONDS: Final = 5.0  # a client that asks again within this time is polling


class LastSeen(msgspec.Struct, frozen=True, gc=False):
    """The state in an answer: the revision, and the last event that it included."""

    at: float
    revision: int
    seq: int


class Polls:
    """By key and prediction. Old entries are dropped."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], LastSeen] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._told)

    def take(self, key_id: str, prediction_id: str, now: float) -> LastSeen | None:
        """What this key saw of this prediction within the last seconds. The entry is removed."""
        told = self._told.pop((key_id, prediction_id), None)
        return told if told is not None and now - told.at <= HABIT_SECONDS else None

    def note(self, key_id: str, prediction_id: str, told: LastSeen) -> None:
        """Remember what is sent now."""
        key = (key_id, prediction_id)
        self._told[key] = told
        self._told.move_to_end(key)
        while self._told and told.at - next(iter(self._told.values())).at > HABIT_SECONDS:
            self._told.popitem(last=False)
