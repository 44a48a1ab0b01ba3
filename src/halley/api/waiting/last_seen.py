"""What polling clients were told a moment ago.

A client that asks again for what has not changed will ask a third time: it is held until something does. Source:
design section 7; contract section 8.2.
"""

from collections import OrderedDict
from typing import Final

import msgspec

HABIT_SECONDS: Final = 5.0  # who asks again within this time is polling


class LastSeen(msgspec.Struct, frozen=True, gc=False):
    """What an answer said: the revision, and the last event that it told of."""

    at: float
    revision: int
    seq: int


class Polls:
    """By key and prediction. Forgets by itself."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], LastSeen] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._told)

    def take(self, key_id: str, prediction_id: str, now: float) -> LastSeen | None:
        """What was told to this key about this prediction within the last seconds. It is forgotten here."""
        told = self._told.pop((key_id, prediction_id), None)
        return told if told is not None and now - told.at <= HABIT_SECONDS else None

    def note(self, key_id: str, prediction_id: str, told: LastSeen) -> None:
        """Remember what is told now."""
        key = (key_id, prediction_id)
        self._told[key] = told
        self._told.move_to_end(key)
        while self._told and told.at - next(iter(self._told.values())).at > HABIT_SECONDS:
            self._told.popitem(last=False)
