"""Event streams of runs: at the service, or at a host that its profile lists; hints only, without the token."""

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest

from halley.egress import AddressRules, Egress
from halley.providers.replicate.profiles import PROFILES
from halley.providers.services.poll_rules import PollRules
from halley.testing.providers import work_of
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import Stage, wait
from halley.testing.replicate.server import FakeServer, serve
from halley.testing.replicate.service import TOKEN, FakeService, kind_of

pytestmark = pytest.mark.anyio

SLOW = PollRules(first_seconds=0.01, changed_seconds=0.01, longest_seconds=30, growth=3000.0, per_second=1000)


class StreamHost:
    """Another host. It sends an event, waits to be told, and sends one more."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: here\n\n"
        self.more = asyncio.Event()
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        await self.more.wait()
        writer.write(b"event: output\ndata: x\n\n")
        writer.close()


@pytest.fixture
async def host() -> AsyncIterator[StreamHost]:
    host = StreamHost()
    server = await asyncio.start_server(host.handle, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    yield host
    host.more.set()
    server.close()


async def followed(
    server: FakeServer, service: FakeService, host: StreamHost, *, listed: bool, allowed: bool, seconds: float = 0.3
) -> bool:
    """Whether the event of the other host makes the provider look at its run."""
    name = f"127.0.0.1:{host.port}"
    rules = AddressRules(origins=frozenset({("127.0.0.1", host.port)}) if allowed else frozenset())
    profile = msgspec.structs.replace(
        PROFILES["replicate"], poll=SLOW, needs_version=False, stream_hosts=(name,) if listed else ()
    )
    links = {"streams": Egress(rules)}
    async with open_provider(server.url, "replicate", rules={"profile": profile}, dependencies=links) as provider:
        handle = await provider.submit(work_of("wait", "x", "p1"))
        run = service.runs[handle]
        run.more_urls = {"stream": f"http://{name}/v1/files/secret-path?x=1"}
        following = asyncio.ensure_future(provider.follow(handle, lambda _: None))
        for _ in range(1000):
            if (host.heads and listed and allowed) or (not (listed and allowed) and run.reads > 1):
                break
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        run.stages[:] = [Stage(status="succeeded", output="x")]
        host.more.set()
        done, _ = await asyncio.wait([following], timeout=seconds)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return bool(done)


@pytest.fixture
async def service() -> AsyncIterator[tuple[FakeService, FakeServer]]:
    service = FakeService({"test/wait": wait})
    async with serve(service) as server:
        yield service, server


async def test_a_stream_at_a_listed_host_is_a_hint_and_gets_no_token(
    service: tuple[FakeService, FakeServer], host: StreamHost
) -> None:
    assert await followed(service[1], service[0], host, listed=True, allowed=True, seconds=20.0)
    [head] = host.heads
    assert head.startswith("GET /v1/files/secret-path?x=1 HTTP/1.1")
    assert "authorization" not in head.lower()
    assert TOKEN not in head
    assert sum(kind_of(one) == "read" for one in service[0].asked) <= 4


@pytest.mark.parametrize(("listed", "allowed"), [(False, True), (True, False)])
async def test_another_host_and_a_private_address_are_not_asked(
    service: tuple[FakeService, FakeServer],
    host: StreamHost,
    caplog: pytest.LogCaptureFixture,
    *,
    listed: bool,
    allowed: bool,
) -> None:
    caplog.set_level(logging.INFO)
    assert not await followed(service[1], service[0], host, listed=listed, allowed=allowed)
    assert host.heads == []
    assert "its stream cannot be read" in caplog.text
    assert "secret-path" not in caplog.text


async def test_a_redirect_of_a_stream_is_not_followed(
    service: tuple[FakeService, FakeServer], host: StreamHost
) -> None:
    host.answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
    assert not await followed(service[1], service[0], host, listed=True, allowed=True)
