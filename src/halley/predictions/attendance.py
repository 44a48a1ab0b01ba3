"""Stores which predictions have waiting clients, across several API servers."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class KeptAttendance(msgspec.Struct, frozen=True, kw_only=True):
    """The ids that were taken over from other nodes, and whether this node has lost its own rows (or never had any)."""

    taken: tuple[str, ...] = ()
    was_lost: bool = False


class AttendanceStore(Protocol):
    """Which predictions have waiting clients, and at which node; it survives the processes.

    A node is one API server. It knows its own clients only: a prediction is abandoned when no node has a row for it.
    The rows of a node are its own until its lease expires; then exactly one of the others takes them over, and begins
    the grace period of those predictions. A node that was paused for longer than its lease stores its waiting clients
    again when it continues.
    """

    def note_awaited(
        self, node_id: str, added: Sequence[str], dropped: Sequence[str], at: datetime, lease_seconds: float
    ) -> Awaitable[None]:
        """Add and remove ids at this node, and renew its lease until `at` + `lease_seconds`. Repeating it is harmless.

        Repeating it is harmless.
        """
        ...

    def keep_awaited(
        self, node_id: str, at: datetime, lease_seconds: float, *, alone: bool = False
    ) -> Awaitable[KeptAttendance]:
        """Renew the lease of this node, and take over the rows of nodes whose lease has expired.

        With `alone` it takes over from all others: for a process that alone uses the data. Two nodes never take over
        the same row.
        """
        ...

    def yield_awaited(self, node_id: str, prediction_id: str) -> Awaitable[bool]:
        """The last client of this node has disconnected: remove the row of this node, if another node has one.

        False if none has, and nothing changes: the prediction is abandoned. Of several nodes that call this at the same
        time, the last one gets False.
        """
        ...

    async def awaited(self) -> list[str]:
        """The ids in the rows of all nodes, each once, in order."""
        ...
