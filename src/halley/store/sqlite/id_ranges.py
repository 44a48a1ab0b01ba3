"""Joins the limits of a search into one range of ids for each statement.

SQLite uses only one limit on each side of an index. For `id < a AND id < b` it scans all rows below the first limit,
and compares each of them with the second.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Self

import msgspec

from halley.ids import FIRST_ID, LAST_ID, first_id_at

# An id is made no earlier than its `created_at`, and later only if the clock had been set back.
_CLOCK_SLACK: Final = timedelta(hours=1)
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - _CLOCK_SLACK


class IdRange(msgspec.Struct, frozen=True):
    """The ids from `first` (included) to `end` (excluded)."""

    first: str = FIRST_ID
    end: str = LAST_ID + "0"

    @classmethod
    def of_times(cls, created_after: datetime | None, created_before: datetime | None) -> Self:
        """Contains the ids of all predictions created in this time, and perhaps others: compare `created_at`, too."""
        found = cls()
        if created_after is not None:
            found = msgspec.structs.replace(found, first=first_id_at(created_after))
        if created_before is not None:
            found = found.before(first_id_at(min(created_before, _LATEST) + _CLOCK_SLACK))
        return found

    def before(self, prediction_id: str) -> Self:
        """The part before this id."""
        return msgspec.structs.replace(self, end=min(self.end, prediction_id))

    def up_to(self, prediction_id: str) -> Self:
        """The part before this id, and this id."""
        return self.before(_following(prediction_id))

    def from_on(self, prediction_id: str) -> Self:
        """The part from this id on."""
        return msgspec.structs.replace(self, first=max(self.first, prediction_id))

    def after(self, prediction_id: str) -> Self:
        """The part after this id."""
        return self.from_on(_following(prediction_id))


def _following(prediction_id: str) -> str:
    """A text between this id and the next one: all ids have the same length."""
    return prediction_id + "0"
