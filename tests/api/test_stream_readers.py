"""Streams over real connections: readers that are slow, stuck, or many."""

import asyncio
import socket

import pytest

from api.test_server import connected, connections, get, running, world_on_a_port
from api.world import World
from halley.api.server import UvicornServer
from halley.api.waiting.streams import PORTION_BYTES
from halley.errors import Overloaded

pytestmark = pytest.mark.anyio
MEGABYTE = 2**20
MOST_BUFFERED = 64 * 1024 + 3 * PORTION_BYTES  # the transport's mark, and what one write may put on top


def request(made: dict[str, dict[str, str]], last: str = "") -> bytes:
    path = made["urls"]["stream"].removeprefix("http://localhost:1986")
    return f"GET {path} HTTP/1.1\r\nHost: localhost:1986\r\nLast-Event-ID: {last}\r\n\r\n".encode()


class Stuck:
    """A client that asks for a stream and then reads nothing."""

    def __init__(self, server: UvicornServer, sent: bytes) -> None:
        self.socket = socket.create_connection(server.addresses[0])
        self.socket.sendall(sent)

    def read_rest(self) -> bytes:
        """What came before the connection ended."""
        got = b""
        self.socket.settimeout(30)
        try:
            while piece := self.socket.recv(MEGABYTE):
                got += piece
        except ConnectionResetError:
            pass
        self.socket.close()
        return got


async def paused(server: UvicornServer, count: int) -> None:
    """Wait until so many connections take nothing more."""
    while sum(one.flow.write_paused for one in await connections(server)) < count:
        await asyncio.sleep(0.005)


async def much(world: World, megabytes: int) -> dict[str, dict[str, str]]:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    for n in range(megabytes * 16):
        await world.output(made["id"], f"{n:06d}" + "x" * (MEGABYTE // 16 - 6), add=True)
    return made


async def everything(server: UvicornServer, sent: bytes) -> bytes:
    """The whole body of a stream."""
    got = bytearray()
    async with connected(server) as wire:
        await wire.send(sent)
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += await wire.reader.read(MEGABYTE)
    return dechunked(bytes(got))


def dechunked(raw: bytes) -> bytes:
    """The body that came, whole chunks only."""
    body, at = bytearray(), raw.index(b"\r\n\r\n") + 4
    while (end := raw.find(b"\r\n", at)) > 0:
        length = int(raw[at:end], 16)
        if not length or len(raw) < end + 2 + length:
            break
        body += raw[end + 2 : end + 2 + length]
        at = end + length + 4
    return bytes(body)


def texts(body: bytes) -> list[str]:
    """The outputs of whole events."""
    blocks = body.split(b"\n\n")[:-1]
    return [block.rpartition(b"data: ")[2].decode() for block in blocks if block.startswith(b"event: output")]


def last_id(body: bytes) -> str:
    whole = body[: body.rfind(b"\n\n")]
    return whole.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()


async def test_a_client_that_never_reads_holds_little_and_is_cut_and_can_go_on() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        made = await much(world, 24)
        stuck = Stuck(server, request(made))
        await paused(server, 1)
        (one,) = await connections(server)
        assert one.transport.get_write_buffer_size() <= MOST_BUFFERED
        await world.finish(made["id"])
        whole = await everything(server, request(made))  # somebody else is not kept waiting
        assert one.transport.get_write_buffer_size() <= MOST_BUFFERED
        now = asyncio.get_running_loop().time()
        server.sweep(now + world.settings.limits.body_seconds / 2)
        assert not one.transport.is_closing()
        server.sweep(now + world.settings.limits.body_seconds + 1)
        got = await asyncio.to_thread(stuck.read_rest)
        assert len(got) < 12 * MEGABYTE, "neither we nor the kernel held the rest for it"
        body = dechunked(got)
        assert b"event: done" not in body
        rest = await everything(server, request(made, last_id(body)))
        assert texts(body) + texts(rest) == texts(whole)
        assert len(texts(whole)) == 24 * 16


async def test_many_stuck_clients_share_one_large_output() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        made = await world.create("acme/free")
        await world.start(made["id"])
        await world.output(made["id"], "x" * 24 * MEGABYTE)
        await world.finish(made["id"])
        clients = [Stuck(server, request(made)) for _ in range(10)]
        await paused(server, len(clients))
        assert len(world.api.parts.batches._large) == 1
        held = [one.transport.get_write_buffer_size() for one in await connections(server)]
        assert max(held) <= MOST_BUFFERED
        for client in clients:
            client.socket.close()
        while world.api.parts.batches._large:
            await asyncio.sleep(0.005)


async def test_a_stuck_stream_does_not_hold_up_the_stop() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        made = await much(world, 24)
        stuck = Stuck(server, request(made))
        await paused(server, 1)
        server.stop()
        while server.server_state.connections:
            await asyncio.sleep(0.005)
        assert b"event: done" not in await asyncio.to_thread(stuck.read_rest)


async def test_an_open_stream_ends_without_done_when_the_server_stops() -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        made = await world.create("acme/tokens")
        await world.start(made["id"])
        await world.output(made["id"], "a", add=True)
        await wire.send(request(made))
        await wire.reader.readuntil(b"data: a\n\n")
        server.stop()
        rest = await wire.rest()
    assert rest.endswith(b"0\r\n\r\n")
    assert b"done" not in rest


async def test_a_thousand_streams_get_the_same() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        made = await world.create("acme/tokens")
        await world.start(made["id"])
        readers = []
        for _ in range(1000):
            reader, writer = await asyncio.open_connection(*server.addresses[0])
            writer.write(request(made))
            readers.append((reader, writer))
        while len(world.hub) < 1000:
            await asyncio.sleep(0.005)
        for text in ("a", "b", "c"):
            await world.output(made["id"], text, add=True)
            await asyncio.sleep(0)
        await world.finish(made["id"])
        bodies = set()
        for reader, writer in readers:
            raw = await reader.readuntil(b"\r\n0\r\n\r\n")
            bodies.add(tuple(texts(dechunked(raw))))
            writer.close()
        assert bodies == {("a", "b", "c")}
        while len(world.hub):
            await asyncio.sleep(0.005)


async def test_a_stream_that_cannot_be_read_is_cut_with_a_plain_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    await world.start(made["id"])

    async def fails(*_: object) -> None:
        raise Overloaded("the disk does not answer")

    async with running(world) as server, connected(server) as wire:
        await wire.send(get(f"/v1/predictions/{made['id']}/events", world.token, "Accept: text/event-stream"))
        await wire.reader.readuntil(b"processing")
        monkeypatch.setattr(world.predictions, "events", fails)
        await world.log(made["id"], "x")
        assert not (await wire.rest()).endswith(b"0\r\n\r\n"), "its reader can see that it has no end"
    assert "the disk does not answer" in caplog.text
    assert "Traceback" not in caplog.text
    assert len(world.hub) == 0
