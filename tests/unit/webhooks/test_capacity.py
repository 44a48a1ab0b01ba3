"""Room for attempts under way: who waits for whom."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from halley.webhooks.capacity import CAPACITY, PROMPT_SECONDS, Capacity
from unit.webhooks.conftest import settled

pytestmark = pytest.mark.anyio


class Attempts:
    """Attempts that go on until the end of the test."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.began: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, *endpoints: str, units: int = 1) -> int:
        """Ask for room for each; gives how many have begun altogether."""
        self.tasks += [asyncio.create_task(self._attempt(endpoint, units)) for endpoint in endpoints]
        await settled()
        return len(self.began)

    async def _attempt(self, endpoint: str, units: int) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.capacity.hold(endpoint, units))
            self.began.append(endpoint)
            await asyncio.Event().wait()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_all_parts_together_are_the_whole(anyio_backend: str) -> None:
    capacity = Capacity()
    attempts = Attempts(capacity)
    for number in range(300):
        capacity.note(f"prompt{number}", 0.1)
        capacity.note(f"slow{number}", PROMPT_SECONDS)
    begun = await attempts.ask(*[f"{kind}{number}" for number in range(300) for kind in ("slow", "new", "prompt")])
    assert begun == CAPACITY == 256
    assert not capacity.is_unused
    await attempts.end()
    assert capacity.is_unused
    assert not capacity._attempts


async def test_an_endpoints_first_attempt_precedes_anothers_second(anyio_backend: str) -> None:
    attempts = Attempts(Capacity(units=4))  # one of them for the rest
    for name in "abc":
        attempts.capacity.note(name, PROMPT_SECONDS)
    await attempts.ask("a", "a", "a", "b", "b", "c")
    for ended in (0, 3, 5, 1):
        attempts.tasks[ended].cancel()
        await settled()
    assert attempts.began == ["a", "b", "c", "a", "a"]
    await attempts.end()


async def test_a_body_that_is_larger_than_its_part_gets_all_of_it(anyio_backend: str) -> None:
    attempts = Attempts(Capacity())
    assert await attempts.ask("a", units=1000) == 1
    assert await attempts.ask("b") == 1
    attempts.tasks[0].cancel()
    await settled()
    assert attempts.began == ["a", "b"]
    await attempts.end()


async def test_a_recovered_receiver_is_not_counted_as_slow(anyio_backend: str) -> None:
    attempts = Attempts(Capacity(units=4))
    attempts.capacity.note("a", PROMPT_SECONDS)
    attempts.capacity.note("b", PROMPT_SECONDS)
    assert await attempts.ask("a", "b") == 1
    attempts.capacity.note("b", 0.1)
    assert await attempts.ask("b") == 2
    await attempts.end()


async def test_only_so_many_endpoints_are_remembered(anyio_backend: str) -> None:
    capacity = Capacity()
    for number in range(10_000):
        capacity.note(f"e{number}", 0.1)
    assert len(capacity._was_prompt) == 4096
    assert "e9999" in capacity._was_prompt
