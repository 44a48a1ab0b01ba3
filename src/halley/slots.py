"""Limits on concurrent work, shared fairly between accounts."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_SHARE: Final = 3  # an account may hold three times what it leaves free, so that other accounts find free units

_Request = tuple[int, asyncio.Future[None]]


class Slots:
    """A number of units, assigned in turns: each waiting account gets one request served in its turn, its oldest first.

    Callers with `urgent` are served before all others. A request for more units than exist gets all of them. With
    `shares`, an account may hold at most three times the units that are then free, besides its first request: so other
    accounts find free units at once, and need not wait for the end of a long request.
    """

    def __init__(self, limit: int, *, shares: bool = False) -> None:
        self._limit = limit
        self._has_shares = shares
        self._free = limit
        self._urgent: OrderedDict[str, deque[_Request]] = OrderedDict()  # by account; the first account is next
        self._others: OrderedDict[str, deque[_Request]] = OrderedDict()
        self._held: dict[str, int] = {}

    @property
    def used(self) -> int:
        return self._limit - self._free

    @property
    def is_unused(self) -> bool:
        """Whether no unit is held and no caller waits."""
        return self.used == 0 and not self._urgent and not self._others

    @asynccontextmanager
    async def hold(self, units: int = 1, *, urgent: bool = False, account: str = "") -> AsyncIterator[None]:
        """Hold so many units while the block runs; waits for them first."""
        units = min(units, self._limit)
        await self.take(units, urgent=urgent, account=account)
        try:
            yield
        finally:
            self.give(units, account=account)

    async def take(self, units: int = 1, *, urgent: bool = False, account: str = "") -> None:
        """Wait for so many units; return them with `give`, for the same account."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._urgent if urgent else self._others
        line.setdefault(account, deque()).append((units, future))
        self._hand_out()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # the units were assigned in the same moment
                self.give(units, account=account)
            else:
                self._hand_out()  # the requests after it may be possible now
            raise

    def give(self, units: int = 1, *, account: str = "") -> None:
        """Return units."""
        self._free += units
        self._held[account] -= units
        if not self._held[account]:
            del self._held[account]
        self._hand_out()

    def _hand_out(self) -> None:
        for line in (self._urgent, self._others):
            if not self._serve(line):
                return  # later requests do not overtake: a large one would never be served

    def _serve(self, line: OrderedDict[str, deque[_Request]]) -> bool:
        """Assign units in turns. False if a caller waits for more than is free."""
        passed = 0  # accounts in a row that hold their share
        while line and passed < len(line):
            account, requests = next(iter(line.items()))
            while requests and requests[0][1].done():  # cancelled
                requests.popleft()
            if not requests:
                del line[account]
                continue
            units, future = requests[0]
            if not self._is_within_share(account, units):
                line.move_to_end(account)
                passed += 1
                continue
            if units > self._free:
                return False
            requests.popleft()
            self._free -= units
            self._held[account] = self._held.get(account, 0) + units
            future.set_result(None)
            line.move_to_end(account)
            passed = 0
        return True

    def _is_within_share(self, account: str, units: int) -> bool:
        held = self._held.get(account, 0)
        return not self._has_shares or not held or held + units <= _SHARE * (self._free - units)
