"""The same server over TLS: the short cut, deadlines, slow handshakes, the origin of links."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from anyio import to_thread

from api.test_lingering import sent_whole
from api.test_server import connected, connections, finished, get, reads, running, undated, world_on_a_port
from halley.certificates.reading import load_context
from halley.settings import LimitSettings

Ends = tuple[ssl.SSLContext, ssl.SSLContext]
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    """The contexts of a server and of a client that trusts it."""
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return load_context(path, None), client


async def test_the_short_cut_answers_like_the_ordinary_way_byte_for_byte(
    ends: Ends,
) -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    request = get(f"/v1/predictions/{prediction_id}", world.token, "X-Request-Id: same", "User-Agent: x")
    async with running(world, ends[0]) as server, connected(server, ends[1]) as wire:
        world.api.parts.cache.forget(prediction_id)
        await wire.send(request)
        ordinary = await wire.answer()
        before = reads(world)
        await wire.send(request)
        short = await wire.answer()
    assert reads(world) == before, "the second answer did not come from the short cut"
    assert undated(short[0]) == undated(ordinary[0])
    assert short[1] == ordinary[1]
    assert b'"https://localhost:1986/v1/predictions/' in short[1]


async def test_pipelined_requests_keep_their_order(ends: Ends) -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    hot = get(f"/v1/predictions/{prediction_id}", world.token)
    async with running(world, ends[0]) as server, connected(server, ends[1]) as wire:
        await wire.send(hot)
        await wire.answer()
        await wire.send(get("/v1/account", world.token) + hot + get("/healthz", world.token))
        bodies = [(await wire.answer())[1] for _ in range(3)]
    assert b"alice" in bodies[0]
    assert prediction_id.encode() in bodies[1]
    assert b"ok" in bodies[2]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, b"HTTP/1.1 431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.1 400"),
    ],
)
async def test_slow_and_odd_requests_are_ended(ends: Ends, sent: bytes, status: bytes) -> None:
    world = await world_on_a_port()
    async with running(world, ends[0]) as server, connected(server, ends[1]) as wire:
        await wire.send(sent)
        one = (await connections(server))[0]
        while one.phase == "idle":
            await asyncio.sleep(0)
        server.sweep(asyncio.get_running_loop().time() + LimitSettings().header_seconds + 1)
        assert (await wire.rest()).startswith(status)


async def test_a_refusal_reaches_a_client_that_sends_on(ends: Ends) -> None:
    world = await world_on_a_port()
    async with running(world, ends[0]) as server:
        status, body = await to_thread.run_sync(lambda: sent_whole(server, "/v1/files", {}, tls=ends[1]))
    assert status == 401
    assert b"authentication token" in body


async def test_a_client_without_a_handshake_is_disconnected(ends: Ends) -> None:
    world = await world_on_a_port()
    world.api.parts.limits = LimitSettings(header_seconds=0.2)
    async with running(world, ends[0]) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        assert await reader.read() == b""
        writer.close()
        assert server.server_state.connections == set()


async def test_plain_http_gets_no_answer_and_affects_no_other(ends: Ends) -> None:
    world = await world_on_a_port()
    async with running(world, ends[0]) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(get("/healthz", world.token))
        assert b"HTTP/1.1 200" not in await reader.read()
        writer.close()
        async with connected(server, ends[1]) as wire:
            await wire.send(get("/healthz", world.token))
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 200")
