"""Files on a real connection: sent by the kernel over plain HTTP, read and written over TLS; the same bytes."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from api.test_server import Wire, connected, connections, get, running, undated
from api.world import World
from halley.api.http.sendfile import FileSlice
from halley.api.protocol import GuardedProtocol
from halley.certificates.reading import load_context
from halley.settings import ServerSettings

pytestmark = pytest.mark.anyio
SMALL = bytes(range(256)) * 40
LARGE = os.urandom(1 << 16) * 512  # 32 MB: more than any socket buffer takes


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The product runs on uvloop; the other one is what its promises are written down for."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: object) -> World:
    return await World(blobs_at=tmp_path / "blobs", server=ServerSettings(port=0)).fill()


@pytest.fixture
async def descriptors(tmp_path: Path, anyio_backend: object) -> AsyncIterator[None]:
    """No descriptor is left open, once the loop has what it needs for itself."""
    other = await World(blobs_at=tmp_path / "other", server=ServerSettings(port=0)).fill()
    async with running(other) as server, connected(server) as wire:
        await fetched(wire, await link_to(other, SMALL))
    before = _open_descriptors()
    yield
    assert sorted(_open_descriptors()) == sorted(before)


def _open_descriptors() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [name.partition(":")[0] for name in found]


async def link_to(world: World, data: bytes, name: str = "a.bin") -> str:
    made = await world.create("acme/free")
    file = await world.keep(made["id"], 0, name, data, "application/octet-stream")
    await world.run(made["id"], file.ref, files=(file,))
    shown = (await world.get(f"/v1/predictions/{made['id']}")).json()["output"]
    return str(shown).removeprefix("http://localhost:1986")


async def fetched(wire: Wire, link: str, *extra: str) -> tuple[bytes, bytes]:
    await wire.send(get(link, "no-key", *extra))
    return await wire.answer()


@pytest.mark.parametrize("extra", ["", "Range: bytes=5-", "Range: bytes=-1", "Range: bytes=100-199", "If-None-Match: *",
                                   "Range: bytes=99999-", 'If-Match: "x"', "Connection: close"])  # fmt: skip
async def test_the_kernel_sends_what_we_would_send(world: World, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    link = await link_to(world, SMALL)
    lines = ["X-Request-Id: same", *([extra] if extra else [])]
    async with running(world) as server:
        async with connected(server) as wire:
            by_kernel = await fetched(wire, link, *lines)
        monkeypatch.setattr(GuardedProtocol, "_can_send_files", lambda _: False)
        async with connected(server) as wire:
            by_us = await fetched(wire, link, *lines)
    assert undated(by_kernel[0]) == undated(by_us[0])
    assert by_kernel[1] == by_us[1]


@pytest.mark.usefixtures("descriptors")
async def test_large_files_arrive_complete_and_the_connection_stays_open(world: World) -> None:
    link = await link_to(world, LARGE)
    async with running(world) as server, connected(server) as wire:
        for _ in range(2):
            head, body = await fetched(wire, link)
            assert head.startswith(b"HTTP/1.1 200")
            assert body == LARGE
        assert (await fetched(wire, "/healthz"))[0].startswith(b"HTTP/1.1 200")


async def test_pipelined_files_keep_their_order(world: World) -> None:
    large, small = await link_to(world, LARGE), await link_to(world, SMALL)
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(large, "x") + get(small, "x") + get("/healthz", "x") + get(small, "x", "Range: bytes=0-9"))
        bodies = [(await wire.answer())[1] for _ in range(4)]
    assert bodies[0] == LARGE
    assert bodies[1] == SMALL
    assert b"ok" in bodies[2]
    assert bodies[3] == SMALL[:10]


async def test_a_head_has_the_headers_and_no_bytes(world: World) -> None:
    link = await link_to(world, SMALL)
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(link, "x", "Range: bytes=0-9").replace(b"GET", b"HEAD", 1))
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")  # of a HEAD a range means nothing
        assert b"content-length: %d\r\n" % len(SMALL) in head
        assert (await fetched(wire, "/healthz"))[0].startswith(b"HTTP/1.1 200")


class Slow:
    """A client that reads when it is told to, and little at a time."""

    def __init__(self, port: int, link: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(get(link, "x"))
        self._socket.setblocking(False)

    def read(self) -> int:
        """Take what is there; the number of bytes, 0 at the end."""
        taken = 0
        try:
            while some := self._socket.recv(1 << 16):
                taken += len(some)
        except BlockingIOError:
            return taken or -1
        except ConnectionResetError:
            return 0
        return taken

    def close(self) -> None:
        self._socket.close()


async def stuck(protocol: GuardedProtocol) -> None:
    """Wait until the connection waits for its reader."""
    while protocol.write_deadline > 1e12:
        await asyncio.sleep(0.001)


@pytest.mark.usefixtures("descriptors")
async def test_a_client_that_does_not_read_is_disconnected_and_a_slow_one_is_not(world: World) -> None:
    link = await link_to(world, LARGE)
    async with running(world) as server:
        client = Slow(server.addresses[0][1], link)
        (protocol,) = await connections(server)
        await stuck(protocol)
        first = protocol.write_deadline
        server.sweep(first - 1)
        assert not protocol.transport.is_closing()
        while protocol.write_deadline in (first, float("inf")):  # it reads, and the deadline moves
            client.read()
            await asyncio.sleep(0.001)
        server.sweep(first + 0.0001)
        assert not protocol.transport.is_closing()
        # others are served meanwhile
        async with connected(server) as wire:
            assert (await fetched(wire, await link_to(world, SMALL)))[1] == SMALL
        server.sweep(protocol.write_deadline + 1)
        assert protocol.transport.is_closing()
        while client.read():
            await asyncio.sleep(0.001)
        client.close()
        while server.server_state.connections or server.server_state.tasks:
            await asyncio.sleep(0.001)


async def test_what_we_write_ourselves_may_be_read_slowly_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "_can_send_files", lambda _: False)
    link = await link_to(world, LARGE)
    async with running(world) as server:
        client = Slow(server.addresses[0][1], link)
        (protocol,) = await connections(server)
        await stuck(protocol)
        first = protocol.write_deadline
        size = protocol.transport.get_write_buffer_size
        seen = size()
        while protocol.write_deadline == first and size() >= seen:
            client.read()
            await asyncio.sleep(0.001)
        await stuck(protocol)
        server.sweep(first + 0.0001)  # it has taken something
        assert not protocol.transport.is_closing()
        assert protocol.write_deadline > first
        server.sweep(protocol.write_deadline + 1)
        server.sweep(protocol.write_deadline + 1)
        assert protocol.transport.is_closing()
        client.close()


@pytest.mark.usefixtures("descriptors")
async def test_a_disconnected_client_ends_the_response(world: World) -> None:
    link = await link_to(world, LARGE)
    async with running(world) as server:
        for _ in range(3):
            client = Slow(server.addresses[0][1], link)
            (protocol,) = await connections(server)
            await stuck(protocol)
            client.close()
            while server.server_state.connections or server.server_state.tasks:
                await asyncio.sleep(0.001)


async def test_a_blob_that_lost_bytes_is_an_error_before_anything_is_sent(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = await link_to(world, SMALL)
    (path,) = (tmp_path / "blobs").glob("??/*")
    path.chmod(0o600)
    os.truncate(path, 100)
    async with running(world) as server, connected(server) as wire:
        head, _ = await fetched(wire, link)
        assert head.startswith(b"HTTP/1.1 500")
        assert (await fetched(wire, "/healthz"))[0].startswith(b"HTTP/1.1 200")
    assert f"has 100 bytes, but {len(SMALL)} were stored" in caplog.text


@pytest.mark.usefixtures("descriptors")
async def test_a_file_that_shrinks_meanwhile_ends_the_connection(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = await link_to(world, LARGE)
    (path,) = (tmp_path / "blobs").glob("??/*")
    path.chmod(0o600)
    async with running(world) as server:
        client = Slow(server.addresses[0][1], link)
        (protocol,) = await connections(server)
        await stuck(protocol)
        os.truncate(path, len(LARGE) - 1_000_000)
        taken = 0
        while (got := client.read()) != 0:
            taken += max(0, got)
            await asyncio.sleep(0)
        client.close()
    assert taken < len(LARGE)
    assert "ends 1000000 bytes too early" in caplog.text


@pytest.mark.parametrize("is_tls", [False, True])
async def test_bytes_that_are_not_in_memory_are_fetched_off_the_loop(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_tls: bool
) -> None:
    fetched_sizes: list[int] = []
    monkeypatch.setattr(FileSlice, "_is_in_memory", lambda _, size: fetched_sizes.append(size))
    link = await link_to(world, LARGE)
    mine, theirs = tls_ends(tmp_path) if is_tls else (None, None)
    async with running(world, mine) as server, connected(server, theirs) as wire:
        assert (await fetched(wire, link))[1] == LARGE
    assert sum(fetched_sizes) >= len(LARGE)


@pytest.mark.usefixtures("descriptors")
async def test_over_tls_the_same_bytes_come(world: World, tmp_path: Path) -> None:
    link, (mine, theirs) = await link_to(world, LARGE), tls_ends(tmp_path)
    async with running(world, mine) as server, connected(server, theirs) as wire:
        assert (await fetched(wire, link))[1] == LARGE
        assert (await fetched(wire, link, "Range: bytes=1000000-9999999"))[1] == LARGE[1_000_000:10_000_000]


async def test_a_link_that_was_followed_ends_with_its_time_and_its_prediction(world: World) -> None:
    link = await link_to(world, SMALL)
    async with running(world) as server, connected(server) as wire:
        for _ in range(2):
            assert (await fetched(wire, link))[1] == SMALL
        before = world.counting.reads
        assert (await fetched(wire, link))[1] == SMALL
        assert world.counting.reads == before
        world.clock.advance(86_401)
        assert (await fetched(wire, link))[0].startswith(b"HTTP/1.1 404")


def tls_ends(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority, path, client = trustme.CA(), folder / "server.pem", ssl.create_default_context()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    authority.configure_trust(client)
    return load_context(path, None), client
