"""Which lost connections are drops: those that the peer closed before the last byte of the answer was written.

On real sockets, on both event loops, and once more with creates that begin without the parser.
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.eager import eagerly
from api.test_repeats import ids
from api.test_server import get, running, world_on_a_port
from api.world import World
from halley.api.http.asgi import Response, json_response
from halley.api.resources.pending_create import response
from halley.api.server import UvicornServer

pytestmark = pytest.mark.anyio

BODY = {"version": "acme/echo", "input": {"prompt": "hi"}}
LARGE = {"version": "acme/echo", "input": {"prompt": "x" * 8_000_000}}  # more than the sockets of both sides hold


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "uvloop and direct creates"])
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def anyio_backend(way: str) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": way != "asyncio"}


@pytest.fixture(autouse=True)
def servers(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "direct" in way:
        monkeypatch.setattr("api.test_drops.running", eagerly)


def post(world: World, *extra: str, body: Any = BODY) -> bytes:
    data = json.dumps(body).encode()
    head = get("/v1/predictions", world.token, f"Content-Length: {len(data)}", *extra)
    return head.replace(b"GET", b"POST", 1) + data


class Peer:
    """A client's socket."""

    def __init__(self, server: UvicornServer) -> None:
        self._address = server.addresses[0]
        self._loop = asyncio.get_running_loop()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # it holds no whole large answer unread

    async def open(self) -> "Peer":
        await self._loop.sock_connect(self.socket, self._address)
        return self

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def read(self, most: int = 65_536) -> bytes:
        return await self._loop.sock_recv(self.socket, most)

    async def answer(self) -> tuple[bytes, dict[str, Any]]:
        """Head and JSON of a whole answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        pieces, got = [body], len(body)
        while got < length:
            pieces.append(await self._more())
            got += len(pieces[-1])
        return head, json.loads(b"".join(pieces))

    async def _more(self) -> bytes:
        data = await self.read(2**20)
        assert data, "the answer is not whole"
        return data

    def close(self) -> None:
        """In an orderly way, unless something is unread: then the system resets."""
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Leave = Callable[[Peer], None]
ways = pytest.mark.parametrize("leave", [Peer.close, Peer.reset], ids=["close", "reset"])


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[World, UvicornServer]]:
    world = await world_on_a_port()
    waiters = asyncio.ensure_future(world.hub.run())
    async with running(world) as server:
        yield world, server
    waiters.cancel()


async def first_of(world: World, peer: Peer, *extra: str, body: Any = BODY) -> str:
    """Send a create and give its prediction, as soon as it is stored."""
    await peer.send(post(world, *extra, body=body))
    while not (made := await ids(world)):
        await asyncio.sleep(0.001)
    return made[0]


async def gone(server: UvicornServer) -> None:
    """Until the server has noticed that all connections are lost."""
    while server.server_state.connections:
        await asyncio.sleep(0.001)


async def again(world: World, server: UvicornServer, body: Any = BODY) -> str:
    """What an equal create on a fresh connection gets."""
    peer = await Peer(server).open()
    await peer.send(post(world, body=body))
    _, answer = await peer.answer()
    peer.close()
    return str(answer["id"])


@ways
async def test_leaving_while_it_waits_is_a_drop(leave: Leave) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await first_of(world, peer, "Prefer: wait")
        leave(peer)
        await gone(server)
        assert await again(world, server) == first
        assert await again(world, server) != first


async def parked(world: World, server: UvicornServer, peer: Peer, *extra: str) -> str:
    """A create that has waited so long that its task is gone."""
    first = await first_of(world, peer, "Prefer: wait", *extra)
    while server.server_state.tasks:
        world.clock.advance(1)
        world.changed(first)
        await asyncio.sleep(0.001)
    return first


@ways
async def test_leaving_after_a_long_wait_is_a_drop(leave: Leave) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await parked(world, server, peer)
        leave(peer)
        await gone(server)
        assert await again(world, server) == first
        assert await again(world, server) != first
        assert not world.api.parts.repeats._in_flight


@ways
async def test_leaving_with_the_answer_to_a_long_wait_is_none(leave: Leave) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await parked(world, server, peer)
        await world.run(first)
        _, answer = await peer.answer()
        assert answer["status"] == "succeeded"
        leave(peer)
        await gone(server)
        assert await again(world, server) != first
        assert not world.api.parts.repeats._in_flight


@ways
async def test_leaving_just_before_the_answer_to_a_long_wait_is_a_drop(
    leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await parked(world, server, peer)

        def left(*given: Any) -> Response:
            monkeypatch.undo()
            leave(peer)
            return json_response(*given)

        monkeypatch.setattr("halley.api.resources.create_answers.json_response", left)
        world.hub.hold_brief_waits()
        await world.run(first)
        await gone(server)
        assert await again(world, server) == first


async def test_a_long_wait_is_in_flight() -> None:
    key = "Idempotency-Key: k"
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await parked(world, server, peer, key)
        other = await Peer(server).open()
        await other.send(post(world, key))
        head, _ = await other.answer()
        assert head.startswith(b"HTTP/1.1 409")
        peer.close()
        while len(server.server_state.connections) > 1:
            await asyncio.sleep(0.001)
        await other.send(post(world, key))
        assert (await other.answer())[1]["id"] == first
        other.close()


async def test_a_second_create_during_a_long_wait_is_not_a_repeat() -> None:
    async with serving() as (world, server):
        peer, other = await Peer(server).open(), await Peer(server).open()
        first = await parked(world, server, peer, "X-Stainless-Retry-Count: 0")
        await other.send(post(world, "X-Stainless-Retry-Count: 1"))
        assert (await other.answer())[1]["id"] != first
        peer.close()
        other.close()


@ways
async def test_leaving_just_before_the_answer_is_written_is_a_drop(
    leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()

        def left(*given: Any) -> Response:
            monkeypatch.undo()
            leave(peer)  # the server's loop has no chance to see it before it writes
            return response(*given)

        monkeypatch.setattr("halley.api.resources.pending_create.response", left)
        first = await first_of(world, peer)
        await gone(server)
        assert await again(world, server) == first
        assert await ids(world) == [first]


@ways
@pytest.mark.parametrize("extra", [(), ("Connection: close",)], ids=["keep alive", "one request"])
async def test_leaving_with_the_whole_answer_is_none(leave: Leave, extra: tuple[str, ...]) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        await peer.send(post(world, *extra))
        _, answer = await peer.answer()
        leave(peer)
        assert await again(world, server) != answer["id"]
        await gone(server)
        assert await again(world, server) != answer["id"]
        assert len(await ids(world)) == 3


async def test_leaving_with_the_whole_answer_to_a_wait_is_none() -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await first_of(world, peer, "Prefer: wait")
        await world.run(first)
        await peer.answer()
        peer.close()
        await gone(server)
        assert await again(world, server) != first


@ways
async def test_leaving_in_the_middle_of_a_large_answer_is_a_drop(leave: Leave) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        await peer.send(post(world, body=LARGE))
        await peer.read(100)
        leave(peer)
        await gone(server)
        (first,) = await ids(world)
        assert await again(world, server, LARGE) == first


async def test_leaving_with_the_whole_of_a_large_answer_is_none() -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        for _ in range(2):
            await peer.send(post(world, body=LARGE))
            await peer.answer()
        peer.close()
        await gone(server)
        made = await ids(world)
        assert len(made) == 2
        assert await again(world, server, LARGE) not in made


@ways
@pytest.mark.parametrize("extra", [(), ("Prefer: wait=5",)], ids=["answered", "held"])
async def test_what_is_asked_later_on_the_connection_is_another_matter(leave: Leave, extra: tuple[str, ...]) -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        await peer.send(post(world))
        _, answer = await peer.answer()
        if not extra:
            await world.run(answer["id"])
            await world.get(f"/v1/predictions/{answer['id']}")  # from now on the short cut answers
        await peer.send(get(f"/v1/predictions/{answer['id']}", world.token, *extra))
        leave(peer)
        await gone(server)
        assert await again(world, server) != answer["id"]


async def test_what_we_close_is_no_drop() -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        first = await first_of(world, peer, "Prefer: wait")
        for connection in server.server_state.connections:
            connection.transport.abort()  # type: ignore[union-attr]
        await gone(server)
        assert await again(world, server) != first
        peer.close()


async def test_many_creates_on_one_connection_are_many() -> None:
    async with serving() as (world, server):
        peer = await Peer(server).open()
        made = set()
        for _ in range(10):
            await peer.send(post(world))
            made.add((await peer.answer())[1]["id"])
        await peer.send(post(world) * 3)
        for _ in range(2):
            head, answer = await read_one(peer)
            assert head.startswith(b"HTTP/1.1 201")
            made.add(answer["id"])
        peer.close()
        assert len(made) == 12


async def read_one(peer: Peer) -> tuple[bytes, dict[str, Any]]:
    """One of several answers in a row, byte by byte."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await peer.read(1)
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    body = b""
    while len(body) < length:
        body += await peer.read(length - len(body))
    return head, json.loads(body)
