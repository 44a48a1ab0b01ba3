"""Whether the store takes writes: tried once for all who ask, and only when somebody asks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from halley.app.readiness import FRESH_SECONDS, RETRY_SECONDS, StoreCheck
from halley.errors import Overloaded, StorageFull
from halley.retry import HousekeepingFaults, run_housekeeping
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class Disk:
    """A store that can be full; counts the writes that are tried."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.tries = 0
        self.refusals = 0
        self.error: Exception | None = None
        self.is_stuck = False
        self.check = StoreCheck(self.write, self.clock, refusals=lambda: self.refusals)

    async def write(self) -> None:
        self.tries += 1
        if self.is_stuck:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
async def disk(anyio_backend: str) -> AsyncIterator[Disk]:
    disk = Disk()
    running = asyncio.ensure_future(run_housekeeping(disk.check.turn, disk.clock, "checking", HousekeepingFaults()))
    yield disk
    running.cancel()
    await asyncio.wait([running])


async def test_many_who_ask_cost_one_write(disk: Disk) -> None:
    assert await asyncio.gather(*[disk.check.fault() for _ in range(100)]) == [None] * 100
    assert await disk.check.fault() is None
    assert disk.tries == 1
    disk.clock.advance(FRESH_SECONDS)
    assert await disk.check.fault() is None
    assert disk.tries == 2


@pytest.mark.parametrize("error", [StorageFull("no room"), Overloaded("locked"), RuntimeError("odd")])
async def test_a_refused_write_is_reported_until_one_succeeds(disk: Disk, error: Exception) -> None:
    disk.error = error
    told = await disk.check.fault()
    assert told is not None
    assert told == (str(error) if not isinstance(error, RuntimeError) else told)
    disk.error = None
    disk.clock.advance(RETRY_SECONDS)
    assert await disk.check.fault() is None


async def test_a_create_that_was_refused_ends_what_was_known(disk: Disk) -> None:
    assert await disk.check.fault() is None
    disk.error = StorageFull("no room")
    disk.refusals += 1
    assert await disk.check.fault() == "no room"


async def test_who_asks_does_not_wait_for_long(disk: Disk) -> None:
    disk.is_stuck = True
    async with asyncio.timeout(60):
        assert "takes longer than" in (await disk.check.fault() or "")
