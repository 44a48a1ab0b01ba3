"""Who does what only one process may do at a time."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Protocol

import msgspec

MAINTENANCE: Final = "maintenance"
"""The duty to do what no holder of a lease does (`DutyStore`): take back, end, send webhooks, remove old data."""


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """The time-limited right to do what one process at a time may do. Its writes carry it; an old fence is refused."""

    name: str
    session_id: str
    fence: int


class DutyStore(Protocol):
    """Who does what only one process may do at a time. The holder is elected by a lease; each new holder has a greater
    fence, which every write of the duty carries and which is compared inside the transaction that writes.
    """

    def hold_duty(
        self, name: str, session_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[Duty | None]:
        """Take the duty until `at` + `lease_seconds`; None while another session holds it.

        It is free if nobody holds it or the holder's time is over. With `alone` it is taken whoever holds it: for a
        process that alone uses the data, so that whoever held the duty is dead. Who holds it already keeps its fence.
        """
        ...

    def renew_duty(self, duty: Duty, at: datetime, lease_seconds: float) -> Awaitable[None]:
        """Keep it until `at` + `lease_seconds`, also if its time was over and nobody has taken it.

        Raises:
            DutyLost: another session took it, or it was released.
        """
        ...

    def release_duty(self, duty: Duty) -> Awaitable[None]:
        """Give it up: whoever asks next has it. Harmless if it is lost."""
        ...
