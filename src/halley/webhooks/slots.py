"""Limits on what is under way at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """So many units, handed out in order of asking; who is `urgent` goes before all who are not.

    Whoever asks for more than there are gets all of them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._urgent: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._others: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        return self._limit - self._free

    @property
    def is_unused(self) -> bool:
        """Whether nobody has any, or waits for some."""
        return self.used == 0 and not self._urgent and not self._others

    @asynccontextmanager
    async def hold(self, units: int = 1, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold so many units while the block runs; waits for them first."""
        units = min(units, self._limit)
        await self.take(units, urgent=urgent)
        try:
            yield
        finally:
            self.give(units)

    async def take(self, units: int = 1, *, urgent: bool = False) -> None:
        """Wait for so many units; they are given back with `give`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._others).append((units, future))
        self._hand_out()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # handed out in the same moment
                self.give(units)
            else:
                self._hand_out()  # who stood behind may be served now
            raise

    def give(self, units: int = 1) -> None:
        """Give units back."""
        self._free += units
        self._hand_out()

    def _hand_out(self) -> None:
        for line in (self._urgent, self._others):
            while line:
                units, future = line[0]
                if future.done():  # gave up
                    line.popleft()
                    continue
                if units > self._free:
                    return  # nobody overtakes: a large one would never get its turn
                line.popleft()
                self._free -= units
                future.set_result(None)
