"""Housekeeping continues after any error, and shows its failures."""

import asyncio

import pytest

from halley.errors import Overloaded
from halley.retry import LONGEST_RETRY_SECONDS, HousekeepingFaults, run_housekeeping
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(1, "Operation not permitted", "/srv/secret"), "Operation not permitted"),
        (OSError("odd"), "OSError"),
        (Overloaded("The database is locked."), "The database is locked."),
        (ZeroDivisionError("x/y"), "ZeroDivisionError"),
    ],
)
async def test_it_continues_backs_off_and_is_shown(anyio_backend: str, error: Exception, told: str) -> None:
    clock, housekeeping_faults, turns = FakeClock(), HousekeepingFaults(), 0
    is_broken = True

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if is_broken:
            raise error
        await clock.sleep(1000)

    task = asyncio.ensure_future(run_housekeeping(turn, clock, "tidying", housekeeping_faults))
    await settled()
    assert (turns, housekeeping_faults.texts()) == (1, {"tidying": told})
    for second in range(1, 4):  # after 1, 2 and 4 seconds
        clock.advance(2 ** (second - 1))
        await settled()
        assert turns == 1 + second
    for _ in range(20):
        clock.advance(LONGEST_RETRY_SECONDS)
        await settled()
    assert turns == 24, "it backs off so far and no farther"
    is_broken = False
    clock.advance(LONGEST_RETRY_SECONDS)
    await settled()
    clock.advance(1000)
    await settled()
    assert housekeeping_faults.texts() == {}
    task.cancel()
    await asyncio.wait([task])
