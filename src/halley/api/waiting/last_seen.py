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
        self._seen: OrderedDict[tuple[str, str], LastSeen] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._seen)

    def take(self, key_id: str, prediction_id: str, now: float) -> LastSeen | None:
        """What this key saw of this prediction within the last seconds. The entry is removed."""
        seen = self._seen.pop((key_id, prediction_id), None)
        return seen if seen is not None and now - seen.at <= HABIT_SECONDS else None

    def note(self, key_id: str, prediction_id: str, seen: LastSeen) -> None:
        """Remember what is sent now."""
        key = (key_id, prediction_id)
        self._seen[key] = seen
        self._seen.move_to_end(key)
        while self._seen and seen.at - next(iter(self._seen.values())).at > HABIT_SECONDS:
            self._seen.popitem(last=False)
