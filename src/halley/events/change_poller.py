"""Changes whose hint was lost: found by looking, so that nobody waits longer for one than between two looks.

One look for all who wait: what the log of facts has got since the last look, and who waits for that. It costs a step of
an index while nothing happens, however many wait, and is counted from the last look, whatever hints came meanwhile.
"""

from collections.abc import Callable, Collection
from typing import Final, Protocol

from halley.clock import Clock

POLL_SECONDS: Final = 2.0


class ChangeLog(Protocol):
    """The log of facts, as far as the change_poller needs it (a store fills it)."""

    async def newest_offset(self) -> int:
        """The offset of the newest fact, 0 if there is none. Offsets follow the order of commits."""
        ...

    async def changed_between(self, after: int, up_to: int) -> list[str]:
        """The predictions that facts behind `after` and up to `up_to` are about, each once."""
        ...


Look = Callable[[Collection[str]], None]
"""Is given the ids of predictions that may have changed."""


class ChangePoller:
    """Tells those who wait for hints of what changed between two looks, whether a hint came or not."""

    def __init__(self, *, log: ChangeLog, clock: Clock, poll_seconds: float = POLL_SECONDS) -> None:
        self._log = log
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._seen = 0
        self._listeners: list[tuple[Callable[[], bool], Look]] = []

    def tell(self, look: Look, *, is_wanted: Callable[[], bool]) -> None:
        """Call `look` after each look that found something, as long as `is_wanted`."""
        self._listeners.append((is_wanted, look))

    async def open(self) -> None:
        """What is there now is known. Before anybody waits."""
        self._seen = await self._log.newest_offset()

    async def turn(self) -> None:
        """Wait for the time of the next look, and look."""
        await self._clock.sleep(self._poll_seconds)
        await self.look()

    async def look(self) -> None:
        """Tell of all that has changed since the last look."""
        newest = await self._log.newest_offset()
        if newest <= self._seen:
            return
        if any(is_wanted() for is_wanted, _ in self._listeners):  # asked after reading: who comes now reads more
            changed = await self._log.changed_between(self._seen, newest)
            for is_wanted, look in self._listeners:
                if is_wanted():
                    look(changed)
        self._seen = newest
