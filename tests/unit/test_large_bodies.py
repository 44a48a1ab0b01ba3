"""Large bodies are processed one at a time."""

import asyncio

import pytest

from halley.api.http.budget import BodyBudget
from halley.errors import Overloaded

pytestmark = pytest.mark.anyio


async def test_the_next_large_body_waits_until_the_previous_is_stored_or_refused() -> None:
    budget = BodyBudget(total_bytes=100, per_key_bytes=100)
    first, second, third = (budget.hold("key") for _ in range(3))
    await first.take_turn()
    waiting = asyncio.create_task(second.take_turn())
    await asyncio.sleep(0)
    assert not waiting.done()
    first.end_turn()
    first.release()  # on every path, also after the turn
    await waiting
    second.release()  # it failed
    await third.take_turn()
    third.release()


async def test_a_cancelled_waiter_delays_no_other() -> None:
    budget = BodyBudget(total_bytes=100, per_key_bytes=100)
    first, second, third = (budget.hold("key") for _ in range(3))
    await first.take_turn()
    waiting = asyncio.create_task(second.take_turn())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second.release()
    first.release()
    await third.take_turn()


async def test_only_so_many_wait() -> None:
    budget = BodyBudget(total_bytes=100, per_key_bytes=100)
    await budget.hold("key").take_turn()
    waiting = [asyncio.create_task(budget.hold("key").take_turn()) for _ in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await budget.hold("key").take_turn()
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
