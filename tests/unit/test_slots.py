"""Room for what is under way: turns between accounts, and shares."""

import asyncio
from collections import Counter

import pytest

from halley.slots import Slots

pytestmark = pytest.mark.anyio


class Askers:
    """Those who ask, in tasks; each holds what it got until it is told to end."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.began: list[str] = []
        self.tasks: dict[str, list[asyncio.Task[None]]] = {}

    async def ask(self, account: str, count: int = 1, *, units: int = 1, urgent: bool = False) -> None:
        for _ in range(count):
            task = asyncio.ensure_future(self._hold(account, units, urgent=urgent))
            self.tasks.setdefault(account, []).append(task)
        await settled()

    async def _hold(self, account: str, units: int, *, urgent: bool) -> None:
        async with self.slots.hold(units, urgent=urgent, account=account):
            self.began.append(account)
            await asyncio.Event().wait()

    async def end(self, account: str, count: int = 1) -> None:
        for _ in range(count):
            self.tasks[account].pop(0).cancel()
            await settled()

    async def end_all(self) -> None:
        for account, tasks in self.tasks.items():
            await self.end(account, len(tasks))


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_accounts_that_wait_take_turns(anyio_backend: str) -> None:
    askers = Askers(Slots(1))
    await askers.ask("a", 6)
    await askers.ask("b", 3)
    await askers.ask("c")
    for _ in range(9):
        await askers.end(askers.began[-1])
    assert "".join(askers.began) == "aabcababaa"
    await askers.end_all()
    assert askers.slots.is_unused


async def test_no_account_fills_what_is_shared(anyio_backend: str) -> None:
    askers = Askers(Slots(32, shares=True))
    await askers.ask("a", 64)
    assert Counter(askers.began) == {"a": 24}
    await askers.ask("b", 64)
    assert Counter(askers.began)["b"] >= 4, "there was room for it at once"
    for name in "cd":
        await askers.ask(name)
        assert name in askers.began, "and for who comes next"
    await askers.end_all()
    assert askers.slots.is_unused
    await askers.ask("a", 24)
    assert askers.slots.used == 24
    await askers.end_all()


async def test_the_first_request_of_an_account_is_served_even_if_large(anyio_backend: str) -> None:
    askers = Askers(Slots(4, shares=True))
    await askers.ask("a", units=9)
    assert askers.began == ["a"]
    await askers.ask("b")
    assert askers.began == ["a"]
    await askers.end("a")
    assert askers.began == ["a", "b"]
    await askers.end_all()


async def test_urgent_requests_are_served_first_and_cancelled_ones_delay_no_other(anyio_backend: str) -> None:
    askers = Askers(Slots(1))
    await askers.ask("a")
    await askers.ask("b", 3)
    await askers.ask("c", urgent=True)
    await askers.end("b", 2)
    await askers.end("a")
    assert askers.began == ["a", "c"]
    await askers.end("c")
    assert askers.began == ["a", "c", "b"]
    await askers.end_all()
    assert askers.slots.is_unused
