"""Readers of streams at the real server: fifty that never read, and a thousand at once."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from process import Halley

pytestmark = pytest.mark.fault

WORDS: Final = Path(__file__).parent / "models" / "words"
CONFIG: Final = """
[limits]
body_seconds = "2s"
"""
STUCK: Final = 50
MEGABYTE: Final = 2**20
MOST_EACH_MB: Final = 0.5  # two writes, and what the loop keeps for a connection
STREAMS: Final = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("readers"), str(WORDS), "--no-demo", config=CONFIG) as server:
        yield server


def create(server: Halley, *, wait: bool, **given: Any) -> Any:
    headers = {"Prefer": "wait"} if wait else {}
    _, _, made = server.call("POST", "/v1/models/local/words/predictions", {"input": given}, headers=headers)
    assert made["status"] in {"starting", "processing", "succeeded"}, made
    return made


def request(server: Halley, made: Any, last: str = "") -> bytes:
    path = made["urls"]["stream"].removeprefix(server.url)
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nLast-Event-ID: {last}\r\n\r\n".encode()


def stuck(server: Halley, made: Any, last: str = "") -> socket.socket:
    """A client that asks, and reads nothing as long as nobody lets it."""
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(request(server, made, last))
    return client


def connections(server: Halley) -> int:
    """How many clients the server is connected to."""
    assert server.process is not None
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED for one in found)


def memory_mb(server: Halley) -> float:
    assert server.process is not None
    return psutil.Process(server.process.pid).memory_info().rss / MEGABYTE


def read_all(client: socket.socket) -> bytes:
    """Everything until the connection ends, or the stream is over."""
    got = bytearray()
    client.settimeout(30)
    try:
        while not got.endswith(b"\r\n0\r\n\r\n") and (piece := client.recv(MEGABYTE)):
            got += piece
    except ConnectionResetError:
        pass
    client.close()
    return bytes(got)


def words_of(raw: bytes) -> list[int]:
    """The numbers of the words that came whole."""
    lines = [line for line in raw.split(b"\n") if line.startswith(b"data: ") and b"x" in line]
    return [int(line.split()[1]) for line in lines]


def last_id(raw: bytes) -> str:
    """The id of the last event that came whole."""
    whole = raw[: raw.rfind(b"\n\n")]
    return whole.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()


def test_clients_that_never_read_hold_little_are_cut_and_can_go_on(server: Halley) -> None:
    count = 480  # of 64 KB: 30 MB
    made = create(server, wait=True, count=count, size=64_000)
    read_all(stuck(server, made))  # what one whole reading costs is no matter of this test
    before = memory_mb(server)
    with ExitStack() as stack:
        clients = [stack.enter_context(stuck(server, made)) for _ in range(STUCK)]
        peak = before
        end = time.monotonic() + 1.5  # they are cut after two seconds
        while time.monotonic() < end:
            peak = max(peak, memory_mb(server))
            time.sleep(0.02)
        whole = read_all(stuck(server, made))
        assert words_of(whole) == list(range(count)), "a client that reads gets everything meanwhile"
        print(f"{STUCK} clients that never read: at most {peak - before:.0f} MB more")
        assert peak - before < STUCK * MOST_EACH_MB
        while connections(server):  # the test's time limit is the bound
            time.sleep(0.05)
        for client in clients[:3]:
            got = read_all(client)
            assert b"event: done" not in got
            rest = read_all(stuck(server, made, last_id(got)))  # it comes back
            assert b"event: done" in rest
            had = words_of(got[: got.rfind(b"\n\n")])
            assert had + words_of(rest) == list(range(count))


async def _read(server: Halley, made: Any) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=MEGABYTE)
    writer.write(request(server, made))
    raw = await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    assert b"event: done" in raw
    return words_of(raw)


@pytest.mark.anyio
async def test_a_thousand_streams_at_once(server: Halley) -> None:
    count = 100
    made = create(server, wait=False, count=count, size=20, delay=0.03)
    before = memory_mb(server)
    readers = [asyncio.ensure_future(_read(server, made)) for _ in range(STREAMS)]
    await asyncio.sleep(1)
    added = memory_mb(server) - before
    status, _, _ = await asyncio.to_thread(server.call, "GET", f"/v1/predictions/{made['id']}")
    assert status == 200
    told = await asyncio.gather(*readers)
    assert all(words == list(range(count)) for words in told)
    print(f"{STREAMS} streams: {added * 1024 / STREAMS:.0f} KB of server memory each")
