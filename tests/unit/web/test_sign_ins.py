"""A stream for a browser ends with its sign-in, and what it began ends with it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from halley.keys.service import Keys
from halley.keys.sign_ins import SignIns
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock


@pytest.mark.anyio
async def test_a_stream_that_is_cancelled_twice_is_closed() -> None:
    store, clock = MemoryStore(), FakeClock()
    keys = Keys(store=store, clock=clock, new_id=lambda: "k1", pepper=b"p")
    sign_ins = SignIns(store=store, keys=keys, clock=clock, secret=b"s")
    steps: list[str] = []
    may_end = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield b"1"
            steps.append("waits")
            await asyncio.Event().wait()
        finally:
            steps.append("ends")
            await may_end.wait()
            steps.append("ended")

    async def read() -> None:
        async for _ in sign_ins.while_valid("cookie", pieces()):
            pass

    async def until(step: str) -> None:
        for _ in range(100):
            if step not in steps:
                await asyncio.sleep(0)

    others = asyncio.all_tasks()
    reader = asyncio.create_task(read())
    await until("waits")
    reader.cancel()
    await until("ends")
    for _ in range(2):
        reader.cancel()
        await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert steps == ["waits", "ends", "ended"]
    assert asyncio.all_tasks() == others
