"""Who waits for predictions that are canceled when nobody waits any more, across several API servers."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class KeptAttendance(msgspec.Struct, frozen=True, kw_only=True):
    """The ids that were taken over from others, and whether this node has nothing here any more (or never had)."""

    taken: tuple[str, ...] = ()
    was_lost: bool = False


class AttendanceStore(Protocol):
    """Which predictions have clients that wait and may leave, and at which node; it outlives the processes.

    A node is one API server. It knows its own clients only: a prediction is abandoned when no node remembers it here.
    What a node remembers is its own until its lease is over; then exactly one of the others takes it over, and begins
    the grace of those predictions. A node whose clients still wait, but which was paused for longer than its lease,
    remembers them again when it goes on.
    """

    def note_awaited(
        self, node_id: str, added: Sequence[str], dropped: Sequence[str], at: datetime, lease_seconds: float
    ) -> Awaitable[None]:
        """Remember and forget ids at this node, whose lease lasts until `at` + `lease_seconds` now.

        Repeating it is harmless.
        """
        ...

    def keep_awaited(
        self, node_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[KeptAttendance]:
        """Renew the lease of this node, and take over what nodes remember whose lease is over.

        With `alone` it takes over from all others: for a process that alone uses the data. Two nodes never take the
        same.
        """
        ...

    def yield_awaited(self, node_id: str, prediction_id: str) -> Awaitable[bool]:
        """The last client of this node is gone: forget the prediction here, if another node remembers it.

        False if none does, and nothing changes: it is abandoned. Of several nodes that ask at the same time the last
        one gets False.
        """
        ...

    async def awaited(self) -> list[str]:
        """The ids that any node remembers, each once, in order."""
        ...
