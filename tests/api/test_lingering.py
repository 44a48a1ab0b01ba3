"""A client that sends everything before it looks gets the answer that was given long before, not a reset connection."""

import asyncio
import http.client
import ssl
from collections.abc import Iterator

import pytest
from anyio import to_thread

from api.test_server import Wire, connected, connections, running, world_on_a_port
from halley.api.http import lingering
from halley.api.server import UvicornServer
from halley.settings import LimitSettings

pytestmark = pytest.mark.anyio

MIB = 2**20
HOUR = 3600.0
SENT = 24 * MIB  # more than all buffers between two sockets take
START = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x"\r\n\r\n'
END = b"\r\n--b--\r\n"


def sent_whole(
    server: UvicornServer,
    path: str,
    headers: dict[str, str],
    *,
    has_length: bool = True,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """What a client gets that sends, then reads, and wants one answer only: such as urllib."""
    whole = START + bytes(SENT) + END

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(whole), MIB):
            yield whole[at : at + MIB]

    port = server.addresses[0][1]
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=tls)
    try:
        given = {"Content-Type": "multipart/form-data; boundary=b", "Connection": "close", **headers}
        connection.request("POST", path, whole if has_length else pieces(), given, encode_chunked=not has_length)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/files", {"Authorization": "Bearer wrong"}, 401),
        ("/v1/nowhere", {}, 404),
        ("/v1/models", {"Authorization": "{}"}, 405),
        ("/v1/files", {"Authorization": "{}"}, 413),
        ("/v1/predictions", {"Authorization": "{}"}, 413),
        ("/v1/files", {"Authorization": "{}", "X-Large": "x" * 40_000}, 431),
        ("/v1/files", {"Authorization": "{}", "Content-Type": "text/plain"}, 400),
    ],
)
async def test_a_refusal_reaches_a_client_that_sends_on(
    path: str, headers: dict[str, str], status: int, has_length: bool
) -> None:
    world = await world_on_a_port()
    world.api.parts.limits = LimitSettings(upload_bytes=MIB, json_body_bytes=MIB)
    named = {name: value.format(f"Bearer {world.token}") for name, value in headers.items()}
    async with running(world) as server:
        found, body = await to_thread.run_sync(lambda: sent_whole(server, path, named, has_length=has_length))
        while server.server_state.connections:
            await asyncio.sleep(0)
    assert found == status
    assert b'"detail"' in body


async def refused(wire: Wire, *extra: str) -> None:
    head = ["POST /v1/files HTTP/1.1", "Host: x", "Content-Length: 99999999", *extra, "", ""]
    await wire.send("\r\n".join(head).encode() + bytes(100_000))
    assert (await wire.answer())[0].startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("extra", [("Connection: close",), ()])
async def test_it_is_read_in_bounded_time(monkeypatch: pytest.MonkeyPatch, extra: tuple[str, ...]) -> None:
    monkeypatch.setattr(lingering, "_LEAST_BYTES", MIB)
    world = await world_on_a_port()
    world.api.parts.limits = LimitSettings(upload_bytes=10)
    async with running(world) as server, connected(server) as wire:
        await refused(wire, *extra)
        one = (await connections(server))[0]
        await wire.send(bytes(MIB // 2))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not one.transport.is_closing()
        with pytest.raises(OSError):
            while True:
                await wire.send(bytes(MIB))


@pytest.mark.parametrize("seconds", [lingering.PAUSE_SECONDS, lingering.LONGEST_SECONDS])
async def test_a_silent_client_is_disconnected(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for name in ("PAUSE_SECONDS", "LONGEST_SECONDS"):
        monkeypatch.setattr(lingering, name, getattr(lingering, name) + HOUR)  # only the test's own looks are that late
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        await refused(wire, "Connection: close")
        assert await wire.rest() == b"", "the end is told at once"
        one = (await connections(server))[0]
        now = asyncio.get_running_loop().time()
        server.sweep(now + HOUR / 3)
        assert not one.transport.is_closing()
        server.sweep(now + HOUR + seconds + 1)
        assert one.transport.is_closing()


async def test_a_server_that_stops_does_not_linger() -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        world.api.draining = True
        await refused(wire, "Connection: close")
        await wire.rest()
        while server.server_state.connections:
            await asyncio.sleep(0)
