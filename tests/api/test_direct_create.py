"""Creates that begin without the parser: what a client sees of them is what the ordinary way would tell it."""

import asyncio
import gc
import json
import re
from typing import Any

import pytest

from api.eager import CountingCreates, eager, eager_world
from api.test_drops import BODY, Peer, gone, post
from api.test_server import Wire, connected, get, running, undated, world_on_a_port
from api.world import SlowStore, World, schema, settled
from halley.api.direct_create import KnownHead
from halley.api.direct_protocol import DirectProtocol
from halley.api.resources.pending_create import PendingCreate
from halley.api.server import UvicornServer
from halley.api.waiting.hold import Hold, HoldGroup
from halley.errors import StorageFull
from halley.models.records import Model, Version
from halley.settings import LimitSettings, ServerSettings

pytestmark = pytest.mark.anyio

ID, TIME, REQUEST_ID = (
    re.compile(rb"[0-9a-z]{26}(?:-[0-9a-f]+(?=[\"\r]))?"),
    re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    re.compile(rb"x-request-id: \S+"),
)
MAC = re.compile(rb"(?<=[-=])[A-Za-z0-9_-]{22}")


def sent(world: World, path: str, body: bytes, *extra: str, token: str = "") -> bytes:
    head = get(path, token or world.token, f"Content-Length: {len(body)}", *extra)
    return head.replace(b"GET", b"POST", 1) + body


def plain(answer: tuple[bytes, bytes]) -> tuple[list[bytes], bytes]:
    """An answer without what differs between two predictions."""
    head, body = (REQUEST_ID.sub(b"id", MAC.sub(b"mac", TIME.sub(b"time", ID.sub(b"id", part)))) for part in answer)
    return undated(head), body


def of(**members: Any) -> bytes:
    return json.dumps(members).encode()


ECHO = "acme/echo"
HI = {"prompt": "hi"}
SENT = {
    "usual": ("/v1/predictions", of(version=ECHO, input=HI), ()),
    "model": ("/v1/models/acme/echo/predictions", of(input=HI), ()),
    "prefix": ("/replicate/v1/models/acme/echo/predictions", of(input=HI), ()),
    "no prefix": ("//predictions/", of(version=ECHO, input=HI), ()),
    "hidden name": ("/v1/models/acme/ech%6F/predictions", of(input=HI), ()),
    "headers": ("/v1/predictions", of(version=ECHO, input=HI), ("X-Request-Id: mine", "User-Agent: x", "X-More: y")),
    "abandoned": ("/v1/predictions", of(version=ECHO, input=HI), ("Prefer: cancel-abandoned", "Cancel-After: 5m")),
    "counted": ("/v1/predictions", of(version=ECHO, input=HI), ("X-Stainless-Retry-Count: 0",)),
    "async": ("/v1/predictions", of(version=ECHO, input=HI), ("Prefer: respond-async",)),
    "client": ("/v1/predictions", of(version=ECHO, input=HI), ("User-Agent: replicate-javascript/1.0.0",)),
    "unknown input": ("/v1/predictions", of(version=ECHO, input={**HI, "more": [1]}), ()),
    "unknown member": ("/v1/predictions", of(version=ECHO, input=HI, tier="gold"), ()),
    "webhook": ("/v1/predictions", of(version=ECHO, input=HI, webhook="https://a.example/x"), ()),
    "context": ("/v1/predictions", of(version=ECHO, input=HI, context={"a": "b"}), ()),
    "free": ("/v1/models/acme/free/predictions", b"{}", ()),
    "empty": ("/v1/models/acme/free/predictions", b"", ()),
    "secret": ("/v1/models/acme/secret/predictions", of(input={"token": "s"}), ()),
    "escapes": ("/v1/predictions", rb'{"version":"acme/echo","input":{"prompt":"\u00e9\"\\"}}', ()),
    "no reading": ("/v1/models/acme/echo/predictions", of(input={"prompt": 5}), ()),
    "files": ("/v1/models/acme/look/predictions", of(input={"image": "data:,x"}), ()),
    "large": ("/v1/predictions", of(version=ECHO, input={"prompt": "x" * 70_000}), ()),
    "no version": ("/v1/predictions", of(input=HI), ()),
    "no model": ("/v1/models/acme/none/predictions", of(input=HI), ()),
    "no input": ("/v1/models/acme/echo/predictions", b"{}", ()),
    "no json": ("/v1/predictions", b"{", ()),
    "no object": ("/v1/predictions", b"[]", ()),
    "twice": ("/v1/predictions", b'{"version":"acme/echo","version":"acme/echo","input":{}}', ()),
    "nul": ("/v1/predictions", rb'{"version":"acme/echo","input":{"prompt":"\u0000"}}', ()),
    "bad hook": ("/v1/predictions", of(version=ECHO, input=HI, webhook="ftp://x"), ()),
    "bad deadline": ("/v1/predictions", of(version=ECHO, input=HI), ("Cancel-After: 1s",)),
    "too large": ("/v1/predictions", of(version=ECHO, input={"prompt": "x" * 100_000}), ()),
    "encoded": ("/v1/predictions", of(version=ECHO, input=HI), ("Content-Encoding: gzip",)),
    "key": ("/v1/predictions", of(version=ECHO, input=HI), ("Idempotency-Key: k",)),
    "no key": ("/v1/predictions", of(version=ECHO, input=HI), ("Authorization: Basic x",)),
    "last": ("/v1/predictions", of(version=ECHO, input=HI), ("Connection: close",)),
    "query": ("/v1/predictions?x=1", of(version=ECHO, input=HI), ()),
    "elsewhere": ("/v1/predictions/x/cancel", b"", ()),
}
DIRECT = [*SENT][: [*SENT].index("no reading")]


async def filled(**groups: Any) -> World:
    """With models that have a secret, or a file, among their inputs."""
    world = World(server=ServerSettings(port=0), limits=LimitSettings(json_body_bytes=90_000), **groups)
    await world.fill()
    now = world.clock.now()
    secret = {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
    for number, (name, rule) in enumerate({"secret": secret, "look": {"type": "string", "format": "uri"}}.items()):
        document = schema({"token" if name == "secret" else "image": rule})
        version = Version(id=f"{number + 100:064d}", model=f"acme/{name}", created_at=now, openapi_schema=document)
        await world.catalog.register(Model(owner="acme", name=name, created_at=now), version)
    return world


@pytest.mark.parametrize("name", SENT)
async def test_both_ways_answer_alike(name: str) -> None:
    path, body, extra = SENT[name]
    answers, stored, begun = [], [], []
    for is_eager in (False, True):
        world = await filled()
        async with eager(world, is_eager=is_eager) as (server, creates), connected(server) as wire:
            await wire.send(sent(world, path, body, *extra))
            answers.append(plain(await wire.answer()))
            begun.append(creates.begun)
        rows = [await world.row(item["id"]) for item in (await world.get("/v1/predictions")).json()["results"]]
        kept = [(row.input, row.webhook, row.cancel_abandoned, row.created_with_wait, row.model) for row in rows]
        stored.append((kept, world.api.parts.ignored_members.counts(), world.api.parts.replayed))
    assert answers[0] == answers[1]
    assert stored[0] == stored[1]
    assert begun == [0, name in DIRECT]


async def test_the_second_create_of_a_connection_begins_directly() -> None:
    world = await filled()
    async with eager(world, is_eager=False) as (server, creates), connected(server) as wire:
        for number, prompt in enumerate(("a", "b", "long" * 500, "c" * 3)):
            await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input={"prompt": prompt})))
            head, body = await wire.answer()
            assert head.startswith(b"HTTP/1.1 201")
            assert json.loads(body)["input"] == {"prompt": prompt}
            assert creates.begun == number
        assert server.server_state.total_requests == 4


async def test_both_ways_write_the_same_line_to_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "halley.access")
    world = await World(server=ServerSettings(port=0, access_log=True)).fill()
    async with eager(world, is_eager=False) as (server, creates), connected(server) as wire:
        for _ in range(2):
            await wire.send(sent(world, "/v1/models/acme/echo/predictions", of(input=HI), "X-Request-Id: mine"))
            await wire.answer()
        assert creates.begun == 1
    lines = [re.sub(r"[\d.]+ ms", "ms", one.getMessage()) for one in caplog.records if one.name == "halley.access"]
    assert lines == ["POST /v1/models/acme/echo/predictions 201 ms mine"] * 2


async def test_what_does_not_come_whole_and_alone_is_parsed() -> None:
    world = await filled()
    one = sent(world, "/v1/predictions", of(version=ECHO, input=HI))
    health = get("/healthz", world.token)
    chunks = [
        (one, 1, 1), (one + one, 2, 0), (one + health, 2, 0), (one[:9], 0, 0), (one[9:], 1, 0), (one, 1, 1),
        (one[:-3], 0, 0), (one[-3:] + one, 2, 0), (one + one[:9], 1, 0), (one[9:], 1, 0), (one, 1, 1),
        (b"\r\n" + one, 1, 0), (one + b"\r\n", 1, 0), (one, 1, 1),
        (health + one, 2, 0), (one, 1, 1),
    ]  # fmt: skip
    async with eager(world, is_eager=False) as (server, creates), connected(server) as wire:
        await wire.send(one)
        await wire.answer()
        for chunk, answers, direct in chunks:
            before = creates.begun
            await wire.send(chunk)
            for _ in range(answers):
                head, _ = await asyncio.wait_for(wire.answer(), 60)
                assert head.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200"))
            await asyncio.sleep(0 if answers else 0.02)  # so that the parts arrive apart
            assert creates.begun == before + direct


def parted(request: bytes) -> tuple[bytes, bytes]:
    """Head and body."""
    head, mark, body = request.partition(b"\r\n\r\n")
    return head + mark, body


async def test_a_body_may_come_behind_its_head_in_pieces() -> None:
    world = await filled()
    head, body = parted(sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
    async with eager(world, is_eager=False) as (server, creates), connected(server) as wire:
        for number, pieces in enumerate(((body,), (body,), (body[:5], body[5:]), (b"", body[:1], body[1:]))):
            await wire.send(head)
            for piece in pieces:
                await asyncio.sleep(0.02)
                await wire.send(piece)
            answer = await wire.answer()
            assert answer[0].startswith(b"HTTP/1.1 201")
            assert json.loads(answer[1])["input"] == HI
            assert creates.begun == number


@pytest.mark.parametrize("body", [b"{}", b"[1]", of(version=ECHO, input={"prompt": 1})])
async def test_faults_of_a_body_behind_its_head_are_reported(body: bytes) -> None:
    world = await filled()
    request = sent(world, "/v1/predictions", body)
    async with eager(world) as (server, creates), connected(server) as wire:
        await wire.send(request)
        whole = plain(await wire.answer())
        for piece in parted(request):
            await asyncio.sleep(0.02)
            await wire.send(piece)
        assert plain(await wire.answer()) == whole
        assert creates.begun == 0


async def begun_on(wire: Wire, server: UvicornServer, request: bytes) -> DirectProtocol:
    """The connection, when it has a head that waits for its body."""
    await wire.send(request[:-3])
    (connection,) = server.server_state.connections
    assert isinstance(connection, DirectProtocol)
    while not connection._begun:
        await asyncio.sleep(0.001)
    return connection


async def test_a_head_waits_for_its_body_as_long_as_behind_the_parser() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        request = sent(world, "/v1/predictions", of(version=ECHO, input=HI))
        connection = await begun_on(wire, server, request)
        now = asyncio.get_running_loop().time()
        assert now < connection.deadline <= now + world.settings.limits.body_seconds
        server.sweep(connection.deadline - 1)
        await wire.send(request[-3:])
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 201")
        connection = await begun_on(wire, server, request)
        server.sweep(connection.deadline)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 408")
        assert await wire.rest() == b""
        assert creates.begun == 1


async def test_what_happens_before_the_body_is_as_behind_the_parser() -> None:
    async with eager_world() as (world, server, creates):
        request = sent(world, "/v1/predictions", of(version=ECHO, input=HI))
        async with connected(server) as wire:
            await begun_on(wire, server, request)
            wire.writer.write_eof()
            assert await wire.rest() == b""
        async with connected(server) as wire:
            await begun_on(wire, server, request)
        await gone(server)
        async with connected(server) as wire:
            await begun_on(wire, server, request)
            world.api.draining = True
            await wire.send(request[-3:])
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 503")
            world.api.draining = False
            connection = await begun_on(wire, server, request)
            connection.shutdown()
            await wire.send(request[-3:])
            head, _ = await wire.answer()
            assert head.startswith(b"HTTP/1.1 201")
            assert b"connection: close" in head
            assert await wire.rest() == b""
        assert creates.begun == 0
        assert len((await world.get("/v1/predictions")).json()["results"]) == 1


async def test_a_bad_key_is_refused_before_the_body() -> None:
    async with eager_world() as (world, server, _), connected(server) as wire:
        request = sent(world, "/v1/predictions", of(version=ECHO, input=HI), token="hly_" + "x" * 38)
        await wire.send(parted(request)[0])
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 401")


async def waits(world: World, wire: Wire, creates: CountingCreates) -> str:
    """A create that waits, and began directly."""
    before = creates.begun
    await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI), "Prefer: wait"))
    while len(world.hub) == 0:
        await asyncio.sleep(0.001)
    await settled()
    assert creates.begun == before + 1
    return str((await world.get("/v1/predictions")).json()["results"][0]["id"])


async def test_a_create_that_waits_gets_the_end_and_others_come_behind_it() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        made = await waits(world, wire, creates)
        await wire.send(get("/healthz", world.token) + sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
        await asyncio.sleep(0.02)
        await world.run(made)
        head, body = await wire.answer()
        assert (head[:12], json.loads(body)["output"]) == (b"HTTP/1.1 201", "hello")
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 200")
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 201")
        assert not world.api.parts.repeats._in_flight
        assert len(world.hub) == 0


async def test_creates_of_a_connection_use_one_cycle_until_something_else_comes() -> None:
    world = await filled()
    async with eager(world, is_eager=False) as (server, creates), connected(server) as wire:
        create = sent(world, "/v1/predictions", of(version=ECHO, input=HI))
        seen = []
        for request in (create, create, create, get("/v1/account", world.token), create, create):
            await wire.send(request)
            assert (await wire.answer())[0].startswith((b"HTTP/1.1 201", b"HTTP/1.1 200"))
            (protocol,) = server.server_state.connections
            transport: Any = protocol.transport
            seen.append((protocol.cycle, transport.get_write_buffer_limits()[1] == 0))
        assert creates.begun == 4
        cycles = [cycle for cycle, _ in seen]
        assert cycles[1] is cycles[2]
        assert cycles[4] is cycles[5]
        assert len({id(cycle) for cycle in cycles}) == 4
        assert [is_unbuffered for _, is_unbuffered in seen] == [False, True, True, False, True, True]
        on_response = cycles[5].on_response
    await settled()
    assert on_response != cycles[5].on_response, "it would keep the lost connection in memory"


async def test_an_answered_create_leaves_nothing_to_the_garbage_collector() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        gc.collect()
        gc.disable()
        try:
            await world.run(await waits(world, wire, creates))
            await wire.answer()
            kinds = Hold, HoldGroup, PendingCreate  # its attempt stays: the answer may still be lost
            assert not [one for one in gc.get_objects() if isinstance(one, kinds)]
        finally:
            gc.enable()


async def test_a_client_that_closes_its_side_gets_the_present_state() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        await waits(world, wire, creates)
        wire.writer.write_eof()
        head, body = await wire.answer()
        assert (head[:12], json.loads(body)["status"]) == (b"HTTP/1.1 202", "starting")
        assert await wire.rest() == b""


async def test_a_stop_answers_and_closes() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        await waits(world, wire, creates)
        server.stop()
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 202")
        assert await wire.rest() == b""


async def test_a_server_that_stops_accepts_nothing() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        world.api.draining = True
        await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 503")
        assert creates.begun == 0


async def test_an_abandoned_create_is_noticed() -> None:
    async with eager_world() as (world, server, creates):
        async with connected(server) as wire:
            request = sent(world, "/v1/predictions", of(version=ECHO, input=HI), "Prefer: wait, cancel-abandoned")
            await wire.send(request)
            while not world.attendance._present:
                await asyncio.sleep(0.001)
        await gone(server)
        assert len(world.attendance.in_grace) == creates.begun == 1


async def test_the_key_is_checked_each_time() -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        for token, status in ((world.token, b"201"), ("hly_" + "x" * 38, b"401"), (world.token, b"201")):
            await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI), token=token))
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 " + status)
        assert creates.begun == 2
        identity = await world.keys.verify(world.token)
        await world.keys.revoke(identity.key.id)
        await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("scopes", ["read", "write"])
async def test_scopes_are_those_of_the_ordinary_way(scopes: str) -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:
        token, _ = await world.keys.issue("alice", "other", frozenset({scopes}))  # type: ignore[arg-type]
        await world.keys.verify(token)
        await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI), token=token))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 " + (b"403" if scopes == "read" else b"201"))
        assert creates.begun == 0


async def test_full_bodies_are_refused() -> None:
    limits = LimitSettings(bodies_bytes=2**20, bodies_per_key_bytes=2**20)
    world = World(server=ServerSettings(port=0), limits=limits)
    await world.fill()
    async with eager(world) as (server, creates), connected(server) as wire:
        key = (await world.keys.verify(world.token)).key
        held = world.api.parts.bodies.hold(key.id)
        held.grow(2**20 - 10)
        await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 429")
        held.release()
        await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 201")
        assert creates.begun == 1
        assert world.api.parts.bodies.held_bytes == 0


@pytest.mark.parametrize("extra", [(), ("Prefer: wait",)], ids=["answered", "held"])
async def test_a_write_that_fails_is_told(extra: tuple[str, ...]) -> None:
    store = SlowStore()
    world = await World(store=store, server=ServerSettings(port=0)).fill()
    answers = []
    for is_eager in (False, True):
        store.fault = StorageFull("The disk is full.")
        async with eager(world, is_eager=is_eager) as (server, creates), connected(server) as wire:
            store.gate.clear()
            await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI), *extra))
            await asyncio.sleep(0.02)
            assert creates.begun == is_eager
            store.gate.set()
            answers.append(plain(await wire.answer()))
            assert len(world.hub) == 0
            assert not world.api.parts.repeats._in_flight
        world.api.draining = world.hub.is_closed = False
    assert answers[0] == answers[1]
    assert answers[0][0][0].startswith(b"HTTP/1.1 503")


async def test_a_repeat_waits_for_the_commit_of_a_dropped_create() -> None:
    store = SlowStore()
    world = await World(store=store, server=ServerSettings(port=0)).fill()
    async with eager(world) as (server, creates):
        peer = await Peer(server).open()
        await peer.send(post(world, "Prefer: wait"))
        await asyncio.sleep(0.02)
        peer.reset()
        await gone(server)
        assert creates.begun == 1
        again = await Peer(server).open()
        await again.send(post(world))
        await asyncio.sleep(0.02)
        store.gate.set()
        head, _ = await again.answer()
        again.close()
        assert b"idempotency-replayed: true" in head
        assert creates.begun == 1  # the repeat took the ordinary way


async def test_others_begin_directly_again_soon_after_a_drop() -> None:
    async with eager_world() as (world, server, creates):
        peer = await Peer(server).open()
        await peer.send(post(world, "Prefer: wait"))
        while creates.begun == 0:
            await asyncio.sleep(0.001)
        peer.reset()
        await gone(server)
        async with connected(server) as wire:
            for seconds, begun in ((0.0, 1), (1.9, 1), (0.2, 2)):
                world.clock.advance(seconds)
                await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input={"prompt": "another"})))
                assert (await wire.answer())[0].startswith(b"HTTP/1.1 201")
                assert creates.begun == begun


async def test_a_store_that_takes_nothing_is_told_by_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with eager_world() as (world, server, creates), connected(server) as wire:

        def closed(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(world.store, "create_and_tell", closed)
        await wire.send(sent(world, "/v1/predictions", of(version=ECHO, input=HI)))
        made = json.loads((await wire.answer())[1])
        assert (await world.row(made["id"])).input == b'{"prompt": "hi"}'
        assert creates.begun == 0
        assert len((await world.get("/v1/predictions")).json()["results"]) == 1
        assert not world.api.parts.repeats._in_flight


def test_a_head_is_found_with_any_length() -> None:
    known = KnownHead(b"POST / HTTP/1.1\r\ncontent-length: ", b" \r\nx: y\r\n\r\n", object())  # type: ignore[arg-type]

    def found(length: bytes, after: bytes = b" \r\nx: y\r\n\r\n") -> tuple[int, bytes] | None:
        return known.split(b"POST / HTTP/1.1\r\ncontent-length: " + length + after + b"{}")

    assert found(b"2") == found(b"002") == (2, b"{}")
    assert found(b"0") == (0, b"{}")
    assert found(b"1234567") == (1234567, b"{}")
    for length in (b"", b"-2", b"+2", b"2 ", b"0x2", b"12345678", b"2\r\ny: "):
        assert found(length) is None
    assert found(b"2", b"\r\nx: y\r\n\r\n") is None
    assert found(b"2", b" \r\nx: z\r\n\r\n") is None
    assert known.split(b"") is None


async def test_a_head_lives_as_long_as_its_connections() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        protocol: Any = server.config.http_protocol_class
        async with connected(server) as one, connected(server) as two:
            for wire in (one, two):
                await wire.send(sent(world, "/v1/predictions", json.dumps(BODY).encode()))
                await wire.answer()
            assert len(protocol.direct._heads) == 1
        await gone(server)
        await settled()
        assert len(protocol.direct._heads) == 0
