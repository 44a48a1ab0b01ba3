"""Requests that are sent behind one that waits or streams: how that one ends when the connection does."""

import asyncio
import logging

import pytest

from api.test_server import connected, get, running, world_on_a_port
from api.world import World
from halley.api.protocol import MOST_BEHIND
from halley.api.server import UvicornServer

pytestmark = pytest.mark.anyio

STREAM = "Accept: text/event-stream"


async def until_nothing_is_left(world: World, server: UvicornServer, prediction_id: str) -> None:
    """Let what is streamed notice that nobody reads."""
    for _ in range(200):
        await asyncio.sleep(0.01)
        world.clock.advance(0.02)
        world.changed(prediction_id)
        await world.log(prediction_id, "x" * 100)
        if not len(world.hub) and not server.server_state.tasks:
            return
    assert (len(world.hub), len(server.server_state.tasks)) == (0, 0)


async def test_a_stream_ends_with_its_connection_though_a_request_was_sent_behind_it() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    await world.start(made["id"])
    async with running(world) as server:
        async with connected(server) as wire:
            await wire.send(get(f"/v1/predictions/{made['id']}/events", world.token, STREAM))
            await wire.reader.readuntil(b"processing")
            await wire.send(get("/healthz", world.token))
            await asyncio.sleep(0.05)
        await until_nothing_is_left(world, server, made["id"])


@pytest.mark.parametrize("extra", [STREAM, "Prefer: wait=30"], ids=["stream", "held"])
@pytest.mark.parametrize(
    "broken",
    [b"\0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ids=["no request", "two hosts"],
)
async def test_what_waits_is_given_up_when_no_request_follows(
    caplog: pytest.LogCaptureFixture, broken: bytes, extra: str
) -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    await world.start(made["id"])
    path = f"/v1/predictions/{made['id']}" + ("/events" if extra is STREAM else "")
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(path, world.token, extra))
        while not len(world.hub):
            await asyncio.sleep(0)
        await wire.send(broken)
        await until_nothing_is_left(world, server, made["id"])
        await wire.rest()
    assert [one.message for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_a_held_request_is_given_up_with_its_own_broken_body(caplog: pytest.LogCaptureFixture) -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    await world.start(made["id"])
    async with running(world) as server, connected(server) as wire:
        path = f"/v1/predictions/{made['id']}"
        await wire.send(get(path, world.token, "Prefer: wait=30", "Transfer-Encoding: chunked") + b"2\r\nab\r\n")
        while not len(world.hub):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        await wire.send(b"no length\r\n")
        await until_nothing_is_left(world, server, made["id"])
        assert (await wire.rest()).startswith(b"HTTP/1.1 400")
    assert [one.message for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_a_client_that_is_only_read_on_for_does_not_hold_up_the_stop() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(f"/v1/predictions/{made['id']}", world.token, "Prefer: wait=30"))
        while not len(world.hub):
            await asyncio.sleep(0)
        await wire.send(b"\0\r\n\r\n")
        await wire.rest()
        server.stop()
        async with asyncio.timeout(20):  # uvicorn would wait 30 s for it
            while server.server_state.connections:
                await asyncio.sleep(0.01)


async def test_nothing_more_is_read_while_requests_wait_for_the_one_before() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    piece, pieces = 200, 4
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(f"/v1/predictions/{made['id']}", world.token, "Prefer: wait=30"))
        while not world.hub.parked:
            await asyncio.sleep(0)
        (connection,) = server.server_state.connections
        for _ in range(pieces):
            await wire.send(get("/healthz", world.token) * piece)
            await asyncio.sleep(0.05)
        assert len(connection.pipeline) == piece  # type: ignore[union-attr]
        await world.run(made["id"])
        longest = 0
        for number in range(piece * pieces + 1):
            body = (await wire.answer())[1]
            assert (made["id"].encode() in body) is (number == 0)
            longest = max(longest, len(connection.pipeline))  # type: ignore[union-attr]
    # what the system held back may come as one piece; but never more while some still wait
    assert longest <= piece * (pieces - 1)


async def test_a_client_that_sends_far_too_many_requests_at_once_is_let_go() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(f"/v1/predictions/{made['id']}", world.token, "Prefer: wait=30"))
        while not world.hub.parked:
            await asyncio.sleep(0)
        (connection,) = server.server_state.connections
        await wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * (2 * MOST_BEHIND))
        while world.hub.parked:
            assert len(connection.pipeline) <= MOST_BEHIND  # type: ignore[union-attr]
            await asyncio.sleep(0)
        assert await wire.rest() == b""


def create(token: str) -> bytes:
    head = get("/v1/models/acme/free/predictions", token, "Content-Length: 2", "Content-Type: text/plain")
    return head.replace(b"GET", b"POST", 1) + b"{}"


async def test_a_head_behind_a_create_may_come_in_pieces() -> None:
    """Its first piece comes with the create, which is then deferred: that must not drop what was read."""
    world = await world_on_a_port()
    head = get("/v1/account", world.token)
    async with running(world) as server:
        for cut in range(1, len(head), 7):
            async with connected(server) as wire:
                await wire.send(create(world.token) + head[:cut])
                assert (await wire.answer())[0].startswith(b"HTTP/1.1 201")
                await wire.send(head[cut:])
                assert b"alice" in (await wire.answer())[1]


async def test_headers_never_reach_another_connection() -> None:
    world = await world_on_a_port()
    begun, rest = get("/v1/account", world.token).split(b"\r\n", 1)
    async with running(world) as server, connected(server) as one, connected(server) as other:
        for wire, token, sent in ((one, world.token, rest), (other, world.other_token, b"X-Request-Id: x\r\n\r\n")):
            await wire.send(create(token) + begun + b"\r\n")
            await wire.answer()
            await wire.send(sent)
        assert (await one.answer())[0].startswith(b"HTTP/1.1 200")
        assert (await other.answer())[0].startswith(b"HTTP/1.1 400")
