"""Hints that something changed, and the bus that carries them between parts and processes."""

from collections.abc import Callable
from typing import Protocol

import msgspec


class Changed(msgspec.Struct, frozen=True, tag=True):
    """A change of this prediction was committed: read it again."""

    prediction_id: str
    for_webhook: bool = True  # False: it is known that no webhook wants it


class WorkWaits(msgspec.Struct, frozen=True, tag=True):
    """A prediction of this version waits in the queue."""

    version: str


class StopRequested(msgspec.Struct, frozen=True, tag=True):
    """This running prediction has ended: its worker should stop it."""

    prediction_id: str


class MessageWaits(msgspec.Struct, frozen=True, tag=True):
    """A webhook message to this endpoint (host:port) is due."""

    endpoint: str


Hint = Changed | WorkWaits | StopRequested | MessageWaits


class Bus(Protocol):
    """Hints between parts and processes. It may drop, repeat, delay and reorder them: nothing may depend on a hint.

    Code that waits for a hint also polls the store, at times counted from its own last poll and not from the last hint.
    So a bus that drops everything costs one poll interval. Both methods belong to the loop's thread.
    """

    def publish(self, hint: Hint) -> None:
        """Send the hint to all subscribers, in this process and in others. Never blocks, never raises."""
        ...

    def subscribe(self, receive: Callable[[Hint], None], *kinds: type[Hint]) -> Callable[[], None]:
        """Call `receive` for hints of these kinds from now on, for all if none is given; others may come as well. The
        returned function ends that; calling it again is harmless.

        `receive` runs in the loop's thread and must be short. If it raises, that is logged, and other receivers are not
        affected.
        """
        ...
