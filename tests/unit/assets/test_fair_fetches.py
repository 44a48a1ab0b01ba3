"""Input files by turns: one account's slow hosts keep no other account's files, and waiting is not fetching."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from halley.blobs.memory import MemoryBlobs
from halley.egress import Egress, rules_from
from unit.assets.test_inputs import Bench

pytestmark = pytest.mark.anyio
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n"


class Host:
    """A server on loopback: `/drip` never comes to its end, everything else is answered."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.dripping = 0
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if b"/drip" in line:
                self.dripping += 1
                writer.write(_HEAD + b"d")
                await asyncio.Event().wait()
            await asyncio.sleep(self.seconds)
            writer.write(_HEAD + b"done")
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def hosting(host: Host) -> AsyncIterator[Egress]:
    server = await asyncio.start_server(host.answer, "127.0.0.1", 0, backlog=256)
    port = server.sockets[0].getsockname()[1]
    host.url = f"http://127.0.0.1:{port}"
    yield Egress(rules_from([f"127.0.0.1:{port}"], http=True), max_concurrent=32)
    server.close()


async def test_the_slow_hosts_of_one_account_do_not_hold_all_fetches(tmp_path: Path) -> None:
    host = Host()
    async with hosting(host) as egress:
        bench = Bench(tmp_path, MemoryBlobs())
        bench.stager._fetch = egress
        slow = [asyncio.ensure_future(bench.stage("mallory", image=f"{host.url}/drip{number}")) for number in range(64)]
        while host.dripping < 24:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(8):  # before the first of the others ends
            for number in range(12):
                await bench.stage("me", image=f"{host.url}/{number}.txt")
        assert not any(one.done() for one in slow)
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_waiting_for_a_turn_does_not_count_as_fetching(tmp_path: Path) -> None:
    host = Host(seconds=0.6)
    async with hosting(host) as shared:
        egress = Egress(shared._rules, max_concurrent=1)
        urls = [f"{host.url}/{number}" for number in range(5)]
        found = await asyncio.gather(
            *[egress.fetch(url, to=tmp_path / url[-1], limit_bytes=10, deadline_seconds=2.0) for url in urls],
            return_exceptions=True,
        )
        assert [getattr(one, "size_bytes", one) for one in found] == [4] * 5


async def test_many_links_leave_the_loop_to_others(tmp_path: Path) -> None:
    stager = Bench(tmp_path, MemoryBlobs()).stager
    links = [(("images", number), "https://a.example/" + "%" * 8000) for number in range(200)]
    for look in (stager.faults(links, 100), stager.own_files(links, "me")):
        work = asyncio.ensure_future(look)
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 100
