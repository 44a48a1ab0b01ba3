"""What a thread still uses is not given back, or to the next, when whoever waits for it is cancelled."""

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from halley.egress import body
from halley.egress.body import FileSink
from halley.store.sqlite.reads import Reads
from halley.store.sqlite.schema import connect
from halley.threads import MadeOnce

pytestmark = pytest.mark.anyio


class Gate:
    """Holds up a thread, and knows how many are inside."""

    def __init__(self) -> None:
        self.open, self.reached = threading.Event(), threading.Event()
        self.inside = self.most = 0

    def go_through(self, *_: object) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.reached.set()
        self.open.wait(20)
        self.inside -= 1

    async def is_reached(self) -> None:
        await asyncio.to_thread(self.reached.wait, 20)


async def test_a_file_is_closed_when_its_last_bytes_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    monkeypatch.setattr(body, "write_all", gate.go_through)
    sink = await FileSink.create(tmp_path / "file")
    writing = asyncio.ensure_future(sink.write(bytes(body.PIECE_BYTES)))
    await gate.is_reached()
    writing.cancel()
    await asyncio.sleep(0.05)
    writing.cancel()
    await asyncio.sleep(0.05)
    assert not writing.done(), "the thread still has the descriptor"
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    sink.discard()


async def test_a_file_opened_for_a_cancelled_caller_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, opened = Gate(), []

    def open_slowly(path: str, *more: int) -> int:
        gate.go_through()
        opened.append(os.open(path, *more))
        return opened[0]

    monkeypatch.setattr(body, "os", SimpleNamespace(**{**vars(os), "open": open_slowly}))
    making = asyncio.ensure_future(FileSink.create(tmp_path / "file"))
    await gate.is_reached()
    making.cancel()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await making
    while not opened:  # where nobody waits for the thread
        await asyncio.sleep(0.01)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


async def test_a_connection_is_used_by_one_read_at_a_time(tmp_path: Path) -> None:
    connect(tmp_path / "db", read_only=False, cache_kib=64).close()
    reads, gate = Reads(tmp_path / "db"), Gate()
    first = asyncio.ensure_future(reads.elsewhere(gate.go_through))
    await gate.is_reached()
    first.cancel()
    second = asyncio.ensure_future(reads.elsewhere(gate.go_through))
    await asyncio.sleep(0.1)
    gate.open.set()
    await second
    await asyncio.gather(first, return_exceptions=True)
    assert gate.most == 1
    await reads.close()


async def test_a_cancelled_use_takes_nothing_from_those_who_wait_too() -> None:
    gate, calls = Gate(), []

    def make() -> str:
        calls.append(1)
        gate.go_through()
        return "made"

    once = MadeOnce(make)
    first, second = (asyncio.ensure_future(once.get()) for _ in range(2))
    await gate.is_reached()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.open.set()
    assert first.cancelled()
    assert await second == await once.get() == "made"
    assert len(calls) == 1


def test_what_was_cancelled_while_it_was_made_is_made_by_the_next_use() -> None:
    gate = Gate()

    def make() -> str:
        gate.go_through()
        return "made"

    once = MadeOnce(make)

    async def leave() -> None:
        waiting = asyncio.ensure_future(once.get())
        await gate.is_reached()
        waiting.cancel()

    asyncio.run(leave())
    gate.open.set()
    assert asyncio.run(once.get()) == "made"
