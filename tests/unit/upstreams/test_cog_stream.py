"""The event stream of a Cog server, however it is cut into chunks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from halley.egress.errors import TooLarge
from halley.providers.cog.sse import StreamEvent, read_events

pytestmark = pytest.mark.anyio

STREAM = b': hello\n\nevent: log\ndata: {"a": 1}\n\nevent: output\ndata: {"b":\ndata: 2}\n\n: bye\n\n'
EVENTS = [StreamEvent("log", {"a": 1}), StreamEvent("output", {"b": 2})]


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", range(1, 12))
async def test_events_are_the_same_wherever_chunks_end(line_end: bytes, size: int) -> None:
    data = STREAM.replace(b"\n", line_end)
    assert [event async for event in read_events(chunks(data, size), 1000)] == EVENTS


async def test_an_event_without_an_end_is_not_held_for_ever() -> None:
    with pytest.raises(TooLarge):
        async for _ in read_events(chunks(b"data: " + b"x" * 10_000, 100), 1000):
            pass


async def test_an_event_of_very_many_lines_is_not_read() -> None:
    with pytest.raises(TooLarge, match="10,000 lines"):
        async for _ in read_events(chunks(b"data:\n" * 20_000 + b"\n", 1000), 2**20):
            pass


async def test_other_work_continues_between_the_events_of_one_chunk() -> None:
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other_work())
    found = [event async for event in read_events(chunks(b":\n\n" * 5000 + b"data: {}\n\n" * 5000, 2**20), 2**20)]
    task.cancel()
    assert len(found) == 5000
    assert turns >= 45
