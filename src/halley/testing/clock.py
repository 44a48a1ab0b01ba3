"""A clock that only a test moves."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from typing import Final

T0: Final = datetime(2026, 1, 10, 10, 20, 30, 123456, tzinfo=UTC)


class FakeClock:
    """Implements `clock.Clock`. `advance` moves both clocks and wakes the sleepers that are due."""

    def __init__(self, now: datetime = T0) -> None:
        self._now = now
        self._monotonic = 1_000.0
        self._slept = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def elapsed(self) -> float:
        return self._monotonic + self._slept

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic + seconds, self._count, future))
        await future

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as an operator or NTP would."""
        self._now += timedelta(seconds=seconds)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: the wall clock continues, timers do not."""
        self._now += timedelta(seconds=seconds)
        self._slept += seconds

    @property
    def sleepers(self) -> int:
        """How many tasks wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)
