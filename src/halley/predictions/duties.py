"""Duties: work that only one process may do at a time."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Protocol

import msgspec

MAINTENANCE: Final = "maintenance"
"""The duty of work that no lease covers (`DutyStore`): reaping, ending, sending webhooks, removing old data."""


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """The time-limited right to do such work. Its writes carry it; the store refuses an old fence."""

    name: str
    session_id: str
    fence: int


class DutyStore(Protocol):
    """Elects the process with a duty, by a lease. Each new holder has a greater fence, which every write of the duty
    carries, and which is compared inside the transaction that writes.
    """

    def hold_duty(
        self, name: str, session_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[Duty | None]:
        """Take the duty until `at` + `lease_seconds`; None while another session holds it.

        It is free if no session holds it or the holder's time is over. With `alone` it is taken in any case: for a
        process that alone uses the data, so that an earlier holder is dead. The present holder keeps its fence.
        """
        ...

    def renew_duty(self, duty: Duty, at: datetime, lease_seconds: float) -> Awaitable[None]:
        """Keep it until `at` + `lease_seconds`, even if its time was over, as long as no other session has taken it.

        Raises:
            DutyLost: another session took it, or it was released.
        """
        ...

    def release_duty(self, duty: Duty) -> Awaitable[None]:
        """Release it: the next session that asks gets it. Does nothing if it is lost."""
        ...
