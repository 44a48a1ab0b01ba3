"""Changes whose hint was lost: found by polling, so that the delay is at most one poll interval.

One poll serves all waiters: it reads which facts were logged since the last poll, and wakes the waiters for them. It
costs one index lookup if nothing happened, for any number of waiters. The interval counts from the last poll, with or
without hints in between.
"""

from collections.abc import Callable, Collection
from typing import Final

from halley.clock import Clock
from halley.predictions.change_log import ChangeLog

POLL_SECONDS: Final = 2.0


Look = Callable[[Collection[str]], None]
"""Called with the ids of predictions that may have changed."""


class ChangePoller:
    """Reports changes between two polls to those who wait for hints, even if the hint was lost."""

    def __init__(self, *, log: ChangeLog, clock: Clock, poll_seconds: float = POLL_SECONDS) -> None:
        self._log = log
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._seen = 0
        self._listeners: list[tuple[Callable[[], bool], Look]] = []

    def tell(self, look: Look, *, is_wanted: Callable[[], bool]) -> None:
        """Call `look` after each poll that found something, while `is_wanted`."""
        self._listeners.append((is_wanted, look))

    async def open(self) -> None:
        """Treat the present end of the log as known. Call it before any request waits."""
        self._seen = await self._log.newest_offset()

    async def turn(self) -> None:
        """Wait until the next poll is due, and poll."""
        await self._clock.sleep(self._poll_seconds)
        await self.look()

    async def look(self) -> None:
        """Report all changes since the last poll."""
        newest = await self._log.newest_offset()
        if newest <= self._seen:
            return
        # checked after reading: a new waiting request reads more
        if any(is_wanted() for is_wanted, _ in self._listeners):
            changed = await self._log.changed_between(self._seen, newest)
            for is_wanted, look in self._listeners:
                if is_wanted():
                    look(changed)
        self._seen = newest
