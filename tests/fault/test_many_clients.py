"""Thousands of waiting clients: all are answered without delaying each other, and nothing is left."""

import asyncio
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from process import Halley

from needs import require

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(600)]

MODELS: Final = Path(__file__).parents[1] / "e2e" / "models"
HELD, STREAMS, PREDICTIONS = 5000, 1000, 50
SLOTS: Final = 16  # of the model: so many of them run
MEMORY_MB: Final = 256
PATIENCE_SECONDS: Final = 90.0
SPARE: Final = 5  # files beside the crowd's: the connection of a call that has just ended may still be open
CONFIG: Final = f"""
[server]
access_log = false
[models."test/pace"]
path = "{MODELS / "pace"}"
preload = true
"""
_STATUS: Final = re.compile(rb'"status":"(\w+)"')


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough open files for this process; the server takes what it may by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    require(hard >= HELD + STREAMS + 500, f"a hard limit of {HELD + STREAMS + 500} open files (it is {hard})")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Waiter(asyncio.Protocol):
    """One connection with one question."""

    def __init__(self, question: bytes) -> None:
        self.question = question
        self.said = b""
        self.is_over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.question)

    def data_received(self, data: bytes) -> None:
        self.said += data
        if self._is_whole() and not self.is_over.done():
            self.is_over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_over.done():
            self.is_over.set_result(None)

    def _is_whole(self) -> bool:
        head, found, body = self.said.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return b"event: done" in body or (bool(found) and length is not None and len(body) >= int(length[1]))

    @property
    def outcome(self) -> str:
        """What it was told: a status, `done`, or how far it came."""
        if b"event: done" in self.said:
            return "done"
        if b"text/event-stream" in self.said:
            return "stream"
        status = _STATUS.search(self.said)
        return status[1].decode() if status else self.said[:40].decode("latin-1")


async def crowd(port: int, questions: list[bytes]) -> list[Waiter]:
    """All of them, connected a hundred at a time."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(100)

    async def one(question: bytes) -> Waiter:
        async with gate:
            return (await loop.create_connection(lambda: Waiter(question), "127.0.0.1", port))[1]

    return await asyncio.gather(*[one(question) for question in questions])


async def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.1)


def question(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def questions(server: Halley, made: list[dict[str, Any]]) -> list[bytes]:
    asked = [
        question(
            f"/v1/predictions/{made[n % len(made)]['id']}", f"Authorization: Bearer {server.key}", "Prefer: wait=60"
        )
        for n in range(HELD)
    ]
    streams = [question(made[n % len(made)]["urls"]["stream"].removeprefix(server.url)) for n in range(STREAMS)]
    return [*asked, *streams]


def create(server: Halley, count: int) -> list[dict[str, Any]]:
    made = [
        server.call("POST", "/v1/models/test/pace/predictions", {"input": {"seconds": 3000}})[2] for _ in range(count)
    ]
    return [dict(one) for one in made]


def process_of(server: Halley) -> psutil.Process:
    assert server.process is not None
    return psutil.Process(server.process.pid)


async def told(waiters: list[Waiter]) -> Counter[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*[waiter.is_over for waiter in waiters])
    return Counter(waiter.outcome for waiter in waiters)


@pytest.mark.usefixtures("descriptors")
def test_many_waiting_clients_are_answered_and_leave_nothing(tmp_path: Path) -> None:
    with Halley(tmp_path, "--no-demo", config=CONFIG) as server:
        asyncio.run(_crowd_is_told(server))


async def _crowd_is_told(server: Halley) -> None:
    process = process_of(server)
    made = await asyncio.to_thread(create, server, PREDICTIONS)
    before = process.num_fds()
    waiters = await crowd(server.port, questions(server, made))
    await until(lambda: process.num_fds() >= before + len(waiters) - SPARE, "all are connected")
    await until(lambda: all(waiter.said for waiter in waiters[HELD:]), "all streams have begun")
    assert [waiter.outcome for waiter in waiters[:HELD] if waiter.said] == [], "nobody is told too early"
    memory = process.memory_full_info().pss / 2**20
    print(f"{HELD} held and {STREAMS} streams: {memory:.0f} MB (limit: {MEMORY_MB})")
    assert memory < MEMORY_MB
    for one in made[:5]:  # others are served meanwhile
        assert (await asyncio.to_thread(server.call, "GET", f"/v1/predictions/{one['id']}"))[0] == 200
    for one in made:
        await asyncio.to_thread(server.call, "POST", f"/v1/predictions/{one['id']}/cancel")
    outcomes = await told(waiters)
    assert outcomes == {"canceled": HELD, "done": STREAMS}
    for waiter in waiters:
        waiter.transport.close()
    await until(lambda: process.num_fds() <= before + SPARE, "all connections are gone")


@pytest.mark.usefixtures("descriptors")
def test_many_disconnected_clients_are_forgotten_and_connected_ones_are_answered(tmp_path: Path) -> None:
    with Halley(tmp_path, "--no-demo", config=CONFIG) as server:
        asyncio.run(_crowd_vanishes(server))
        assert server.process is not None
        assert server.process.wait(60) == 0


async def _crowd_vanishes(server: Halley) -> None:
    process = process_of(server)
    made = await asyncio.to_thread(create, server, PREDICTIONS)
    before = process.num_fds()
    for waiter in await crowd(server.port, questions(server, made)):
        waiter.transport.abort()
    await until(lambda: process.num_fds() <= before + SPARE, "those who vanished are forgotten")
    waiters = await crowd(server.port, questions(server, made))
    await until(lambda: all(waiter.said for waiter in waiters[HELD:]), "all streams have begun")
    await until_running(server, made[:SLOTS])
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    running = [one for one in made if await asyncio.to_thread(status_of, server, one) == "processing"]
    for one in running:  # else the server would wait for them; what has not begun waits for the next start
        await asyncio.to_thread(server.call, "POST", f"/v1/predictions/{one['id']}/cancel")
    outcomes = await told(waiters)
    assert running
    assert outcomes == {
        "canceled": len(running) * HELD // PREDICTIONS,
        "starting": (PREDICTIONS - len(running)) * HELD // PREDICTIONS,
        "done": len(running) * STREAMS // PREDICTIONS,
        "stream": (PREDICTIONS - len(running)) * STREAMS // PREDICTIONS,
    }


async def until_running(server: Halley, made: list[dict[str, Any]]) -> None:
    """Wait until all of them have begun: on a busy machine that takes its time."""
    for one in made:
        end = time.monotonic() + PATIENCE_SECONDS
        while await asyncio.to_thread(status_of, server, one) != "processing":
            assert time.monotonic() < end, "it begins"
            await asyncio.sleep(0.05)


def status_of(server: Halley, one: dict[str, Any]) -> str:
    return str(server.call("GET", f"/v1/predictions/{one['id']}")[2]["status"])


def test_a_server_without_descriptors_continues_when_some_are_free(tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -n 256 && exec "$0" "$@"', sys.executable, "-m", "halley.cli.main")
    with Halley(tmp_path, "--no-demo", config=CONFIG, command=limited) as server:
        assert "may open 256 files" in server.log()
        asyncio.run(_descriptors_run_out(server))


async def _descriptors_run_out(server: Halley) -> None:
    process = process_of(server)
    (made,) = await asyncio.to_thread(create, server, 1)
    await until_running(server, [made])
    before = process.num_fds()
    path = f"/v1/predictions/{made['id']}"
    asked = question(path, f"Authorization: Bearer {server.key}", "Prefer: wait=60")
    waiters = await crowd(server.port, [asked] * 400)
    await until(lambda: process.num_fds() > 240, "it has no descriptor to spare")
    for waiter in waiters:
        waiter.transport.abort()
    await until(lambda: process.num_fds() <= before + SPARE, "all connections are gone")
    status, _, body = await asyncio.to_thread(server.call, "GET", path)
    assert (status, body["status"]) == (200, "processing"), body
    await asyncio.to_thread(server.call, "POST", f"{path}/cancel")
