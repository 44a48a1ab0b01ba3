"""The real server on a real loopback port: limits, smuggling, the short cut byte for byte."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.world import World
from halley.api.http.heads import head_of
from halley.api.http.uvicorn_inside import missing_in_uvicorn
from halley.api.protocol import GuardedProtocol
from halley.api.server import UvicornServer, make_server
from halley.errors import Unusable
from halley.predictions.records import NewEvent
from halley.predictions.status import EventKind
from halley.settings import LimitSettings, RetentionSettings, ServerSettings

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(world: World, tls: ssl.SSLContext | None = None) -> AsyncIterator[UvicornServer]:
    server = make_server(world.settings, world.api, tls)
    task = asyncio.ensure_future(server.serve())
    try:
        up = asyncio.ensure_future(server.is_up.wait())
        await asyncio.wait([up, task], return_when=asyncio.FIRST_COMPLETED)
        yield server
    finally:
        server.stop()
        await task


async def world_on_a_port(retention: RetentionSettings | None = None, **groups: object) -> World:
    world = World(server=ServerSettings(port=0, **groups), retention=retention or RetentionSettings())
    return await world.fill()


class Wire:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the next answer with a length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
        return head, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        return await self.reader.read()


@asynccontextmanager
async def connected(server: UvicornServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    named = None if tls is None else "localhost"
    reader, writer = await asyncio.open_connection(*server.addresses[0], ssl=tls, server_hostname=named)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def get(path: str, token: str, *extra: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost:1986", f"Authorization: Bearer {token}", *extra]
    return "\r\n".join([*lines, "", ""]).encode()


def test_uvicorn_has_what_the_protocol_uses() -> None:
    assert missing_in_uvicorn() == []


async def finished(world: World) -> str:
    made = await world.create("acme/free")
    await world.run(made["id"], {"deep": ["thought", 42]})
    await world.keys.verify(world.token)
    return str(made["id"])


@pytest.mark.parametrize("prefix", ["/v1", "/replicate/v1", "", "/v1/v1"])
async def test_the_short_cut_answers_like_the_ordinary_way_byte_for_byte(prefix: str) -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    request = get(f"{prefix}/predictions/{prediction_id}", world.token, "X-Request-Id: same", "User-Agent: x")
    async with running(world) as server, connected(server) as wire:
        world.api.parts.cache.forget(prediction_id)
        await wire.send(request)
        ordinary = await wire.answer()
        before = reads(world)
        server.server_state.default_headers = list(server.server_state.default_headers)
        await wire.send(request)
        short = await wire.answer()
    assert reads(world) == before, "the second answer did not come from the short cut"
    assert undated(short[0]) == undated(ordinary[0])
    assert short[1] == ordinary[1]
    assert b"date:" in short[0]


def reads(world: World) -> int:
    return int(world.counting.reads)


def undated(head: bytes) -> list[bytes]:
    return [line.split(b":")[0] if line.startswith(b"date:") else line for line in head.split(b"\r\n")]


@pytest.mark.parametrize(
    "header",
    ["Prefer: wait=1", "If-None-Match: *", "Content-Length: 0", "Connection: close", "X-Halley-Expose-Aborted: 1"],
)
async def test_the_short_cut_leaves_what_it_does_not_understand(header: str) -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    async with running(world) as server, connected(server) as wire:
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
        await wire.answer()
        before = reads(world)
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.token, header))
        head, _ = await wire.answer()
    assert head.startswith(b"HTTP/1.1 304" if "*" in header else b"HTTP/1.1 200")
    assert reads(world) == before + 1


async def test_what_a_connection_said_before_never_answers_for_what_it_says_now() -> None:
    """Headers that come again are not read again: whatever differs in them is seen, on the same connection."""
    world = await world_on_a_port()
    prediction_id = await finished(world)
    await world.keys.verify(world.other_token)
    path = f"/v1/predictions/{prediction_id}"
    asked = [
        get(path, world.token, "X-Request-Id: a"),
        get(path, world.token, "X-Request-Id: a"),
        get(path, world.token, "X-Request-Id: b"),
        get(path, world.other_token, "X-Request-Id: b"),
        get(path, world.token, "X-Request-Id: b"),
        get(f"/replicate{path}", world.token, "X-Request-Id: b"),
        get(path, world.token, "X-Request-Id: b"),
        get(path, world.token, "X-Request-Id: b", "User-Agent: replicate-javascript/1.0.0"),
        get(path, world.token, "X-Request-Id: b", "X-Halley-Expose-Aborted: 1"),
    ]
    async with running(world) as server, connected(server) as wire:
        same: list[tuple[list[bytes], bytes]] = []
        for request in asked:
            await wire.send(request)
            head, body = await wire.answer()
            same.append((undated(head), body))
        for request, (head, body) in zip(asked, same, strict=True):
            async with connected(server) as other:  # it has said nothing before
                await other.send(request)
                fresh = await other.answer()
            assert (undated(fresh[0]), fresh[1]) == (head, body)
    assert [head[0].split()[1] for head, _ in same] == [b"200"] * 3 + [b"404"] + [b"200"] * 5


async def test_bytes_that_come_again_are_answered_as_if_they_were_parsed() -> None:
    """One request in one piece is recognized by its bytes; more than one, or a part of one, never is."""
    world = await world_on_a_port()
    prediction_id = await finished(world)
    hot = get(f"/v1/predictions/{prediction_id}", world.token, "X-Request-Id: a")
    post = b"POST /v1/nothing HTTP/1.1\r\nHost: localhost:1986\r\nX-Request-Id: b\r\nContent-Length: 4\r\n\r\n"
    health = get("/healthz", world.token, "X-Request-Id: c")
    half = len(hot) // 2
    chunks = [
        (hot, 1), (hot, 1), (hot, 1), (hot + hot, 2), (hot + hot, 2), (hot, 1), (hot, 1),
        (hot[:half], 0), (hot[half:], 1), (hot[:half], 0), (hot[half:], 1), (hot, 1),
        (hot + post, 1), (b"body", 1), (hot + post, 1), (b"body", 1), (hot, 1), (hot, 1),
        (hot + hot[:half], 1), (hot[half:], 1), (hot + health, 2), (hot + health, 2), (hot, 1),
        (b"\r\n" + hot, 1), (b"\r\n" + hot, 1), (hot + b"\r\n", 1), (hot + b"\r\n", 1), (hot, 1),
    ]  # fmt: skip

    async def told(server: UvicornServer) -> list[tuple[list[bytes], bytes]]:
        found = []
        async with connected(server) as wire:
            for chunk, answers in chunks:
                await wire.send(chunk)
                for _ in range(answers):
                    head, body = await asyncio.wait_for(wire.answer(), 60)
                    found.append((undated(head), body))
                await asyncio.sleep(0 if answers else 0.02)  # so that the parts arrive apart
        return found

    async with running(world) as server:
        short = await told(server)
        protocol: Any = server.config.http_protocol_class
        protocol.shortcut = None
        plain = await told(server)
    assert short == plain
    assert len(short) == sum(answers for _, answers in chunks)


async def test_a_request_that_comes_again_is_answered_with_what_is_so_now() -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    hot = get(f"/v1/predictions/{prediction_id}", world.token)
    async with running(world) as server, connected(server) as wire:
        bodies = []
        for _ in range(4):
            await wire.send(hot)
            bodies.append((await wire.answer())[1])
        assert len(set(bodies)) == 1
        await world.retention.remove_now(prediction_id, (await world.row(prediction_id)).account_id)
        await wire.send(hot)
        assert b'"data_removed":true' in (await wire.answer())[1]
        identity = await world.keys.verify(world.token)
        await world.keys.revoke(identity.key.id)
        await wire.send(hot)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 401")


async def test_an_idle_connection_keeps_no_answer_that_the_cache_has_removed() -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    cache = world.api.parts.cache
    hot = get(f"/v1/predictions/{prediction_id}", world.token)
    async with running(world) as server, connected(server) as wire:
        for _ in range(3):
            await wire.send(hot)
            before = (await wire.answer())[1]
        ((key, kept),) = cache._kept.items()
        body = kept.body
        del kept
        cache._drop(key)
        assert sys.getrefcount(body) == 2, "held by more than this test and the call"
        await wire.send(hot)
        assert (await wire.answer())[1] == before


async def test_polls_of_what_runs_take_the_short_cut_until_something_is_stored() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    await world.start(made["id"])
    await world.output(made["id"], "one", add=True)
    await world.keys.verify(world.token)
    await world.keys.verify(world.other_token)
    path = f"/v1/predictions/{made['id']}"
    async with running(world) as server, connected(server) as wire:

        async def poll(*extra: str, token: str = world.token) -> tuple[bytes, bytes, int]:
            before = reads(world)
            await wire.send(get(path, token, "X-Request-Id: same", *extra))
            head, body = await wire.answer()
            return head, body, reads(world) - before

        ordinary = await poll()
        for _ in range(3):
            short = await poll()
            assert (undated(short[0]), short[1]) == (undated(ordinary[0]), ordinary[1])
            assert (ordinary[2], short[2]) == (1, 0)
        assert (await poll(token=world.other_token))[0].startswith(b"HTTP/1.1 404")
        assert (await poll("User-Agent: replicate-javascript/1.0.0"))[2] == 1  # it is held, next time
        two = NewEvent(kind=EventKind.OUTPUT_ADDED, at=world.clock.now(), data=b'{"value":"two","files":[]}')
        await world.store.append_events(world._leases[made["id"]], [two])  # without a hint
        newer = await poll()
        assert b"two" in newer[1]
        assert newer[2] == 1
        assert (await poll())[1:] == (newer[1], 0)
        world.clock.advance(2 * 86_400)  # the links are renewed
        await world.keys.verify(world.token)
        assert (await poll())[2] == 1
        await world.finish(made["id"])
        assert b'"succeeded"' in (await poll())[1]


async def test_each_poll_of_what_is_canceled_when_nobody_asks_is_noted() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free", headers={"prefer": "cancel-abandoned"})
    await world.start(made["id"])
    await world.keys.verify(world.token)
    assert (await world.row(made["id"])).cancel_abandoned
    async with running(world) as server, connected(server) as wire:
        before = reads(world)
        for _ in range(3):
            await wire.send(get(f"/v1/predictions/{made['id']}", world.token))
            await wire.answer()
        assert reads(world) == before + 3


async def test_the_short_cut_never_serves_another_account_or_a_revoked_key() -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    await world.keys.verify(world.other_token)
    async with running(world) as server, connected(server) as wire:
        for _ in range(4):
            await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 200")
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.other_token))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 404")
        identity = await world.keys.verify(world.token)
        await world.keys.revoke(identity.key.id)
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 401")


async def test_the_short_cut_keeps_the_order_of_pipelined_requests() -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    hot = get(f"/v1/predictions/{prediction_id}", world.token)
    async with running(world) as server, connected(server) as wire:
        await wire.send(hot)
        await wire.answer()
        await wire.send(get("/v1/account", world.token) + hot + hot + get("/healthz", world.token))
        bodies = [(await wire.answer())[1] for _ in range(4)]
    assert b"alice" in bodies[0]
    assert prediction_id.encode() in bodies[1]
    assert bodies[1] == bodies[2]
    assert b"ok" in bodies[3]


async def test_a_change_ends_what_was_kept() -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    async with running(world) as server, connected(server) as wire:
        for _ in range(4):
            await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
            await wire.answer()
        before = reads(world)
        world.changed(prediction_id)
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
        await wire.answer()
        assert reads(world) == before + 1
        world.clock.advance(6)  # and without any hint it is compared again after a while
        await wire.send(get(f"/v1/predictions/{prediction_id}", world.token))
        await wire.answer()
        assert reads(world) > before + 1


SMUGGLED = (
    b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (SMUGGLED, b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"BREW /v1/predictions HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9_000, b"431"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 3_000 + b"Connection: close\r\n\r\n", b"200"),
        (b"TRACE /v1/predictions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
        (b"QUERY /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"401"),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"4"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n", b"200"),
        (b"GET http://evil/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200"),
    ],
)
async def test_odd_requests_are_answered_and_the_connection_ends(data: bytes, status: bytes) -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        await wire.send(data)
        answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    if not status.startswith(b"2"):
        assert b"application/problem+json" in answer


async def connections(server: UvicornServer) -> list[GuardedProtocol]:
    while not server.server_state.connections:
        await asyncio.sleep(0)
    return [one for one in server.server_state.connections if isinstance(one, GuardedProtocol)]


@pytest.mark.parametrize(
    ("sent", "limit", "status"),
    [
        (b"", "header_seconds", b""),
        (b"GET / HTTP/1.1\r\n", "header_seconds", b"HTTP/1.1 408"),
        (b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "body_seconds", b"HTTP/1.1 4"),
    ],
)
async def test_slow_clients_are_disconnected(sent: bytes, limit: str, status: bytes) -> None:
    world = await world_on_a_port()
    seconds = getattr(LimitSettings(), limit)
    async with running(world) as server, connected(server) as wire:
        await wire.send(sent)
        one = (await connections(server))[0]
        while sent and one.phase == "idle":
            await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        server.sweep(now + seconds / 2)
        assert not one.transport.is_closing()
        server.sweep(now + seconds + 1)
        assert (await wire.rest()).startswith(status)


async def test_idle_connections_end_after_their_time() -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        await wire.send(get("/healthz", world.token))
        await wire.answer()
        now = asyncio.get_running_loop().time()
        server.sweep(now + 60)
        await wire.send(get("/healthz", world.token))
        await wire.answer()
        server.sweep(asyncio.get_running_loop().time() + 80)
        assert await wire.rest() == b""


async def test_the_server_does_not_wait_for_a_disconnected_client() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        async with connected(server) as wire:
            body = b'{"version":"acme/free"}'
            head = get("/v1/predictions", world.token, "Prefer: wait", f"Content-Length: {len(body)}")
            await wire.send(head.replace(b"GET", b"POST") + body)
            while not len(world.hub):
                await asyncio.sleep(0)
        while len(world.hub):
            await asyncio.sleep(0)


async def test_stopping_answers_waiting_requests() -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        body = b'{"version":"acme/free"}'
        head = get("/v1/predictions", world.token, "Prefer: wait", f"Content-Length: {len(body)}")
        await wire.send(head.replace(b"GET", b"POST") + body)
        while not len(world.hub):
            await asyncio.sleep(0)
        server.stop()
        answer, _ = await wire.answer()
    assert answer.startswith(b"HTTP/1.1 202")


async def test_a_taken_port_is_reported_by_number() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        other = World(server=ServerSettings(port=server.addresses[0][1]))
        with pytest.raises(Unusable, match="Cannot listen at"):
            await make_server(other.settings, other.api).serve()


# held requests ----------------------------------------------------------------------------------------------------


async def held(world: World, server: UvicornServer, wire: Wire, prediction_id: str, *extra: str) -> None:
    """Send a question that is held, and wait until it costs no task any more."""
    before = world.hub.parked
    await wire.send(get(f"/v1/predictions/{prediction_id}", world.token, "Prefer: wait=30", *extra))
    while world.hub.parked == before or server.server_state.tasks:
        await asyncio.sleep(0)


async def test_a_held_request_is_answered_like_any_other_byte_for_byte() -> None:
    world = await world_on_a_port(cors_origins=("https://app.example.com",))
    made = await world.create("acme/free")
    extra = ("X-Request-Id: same", "Origin: https://app.example.com")
    async with running(world) as server, connected(server) as wire:
        await held(world, server, wire, made["id"], *extra)
        await world.run(made["id"], 42)
        waited = await wire.answer()
        world.api.parts.cache.forget(made["id"])
        await wire.send(get(f"/v1/predictions/{made['id']}", world.token, "Prefer: wait=30", *extra))
        at_once = await wire.answer()
    assert undated(waited[0]) == undated(at_once[0])
    assert waited[1] == at_once[1]
    assert b"access-control-allow-origin: https://app.example.com" in waited[0]


async def test_a_held_head_has_no_body() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        request = get(f"/v1/predictions/{made['id']}", world.token, "Prefer: wait=30", "Connection: close")
        await wire.send(request.replace(b"GET", b"HEAD"))
        while not world.hub.parked:
            await asyncio.sleep(0)
        await world.run(made["id"], 42)
        answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


async def test_what_is_sent_behind_a_held_request_is_answered_behind_it() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        await held(world, server, wire, made["id"])
        await wire.send(get("/v1/account", world.token) + get("/healthz", world.token))
        for _ in range(50):
            await asyncio.sleep(0)
        await world.run(made["id"], 42)
        bodies = [(await wire.answer())[1] for _ in range(3)]
        assert made["id"].encode() in bodies[0]
        assert b"alice" in bodies[1]
        assert b"ok" in bodies[2]
        await held(world, server, wire, (await world.create("acme/free"))["id"])
        await wire.send(get("/healthz", world.token))
    while world.hub.parked:
        await asyncio.sleep(0)


async def test_a_held_request_is_not_idle() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        await held(world, server, wire, made["id"])
        server.sweep(asyncio.get_running_loop().time() + 10_000)
        await world.run(made["id"], 42)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 200")
        server.sweep(asyncio.get_running_loop().time() + 80)
        assert await wire.rest() == b""


async def test_a_client_that_leaves_while_it_is_held_leaves_nothing_behind() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server:
        async with connected(server) as wire:
            await held(world, server, wire, made["id"])
            assert len(world.hub) == 1
        while world.hub.parked:
            await asyncio.sleep(0)
        assert (len(world.hub), len(server.server_state.connections)) == (0, 0)
        await world.run(made["id"], 42)  # nobody is told


async def test_stopping_answers_what_is_held_and_ends_its_connection() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        await held(world, server, wire, made["id"])
        server.stop()
        answer, body = await wire.answer()
        assert await wire.rest() == b""
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"starting"' in body


async def test_an_old_http_client_may_wait_too() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/free")
    async with running(world) as server, connected(server) as wire:
        request = get(f"/v1/predictions/{made['id']}", world.token, "Prefer: wait=30")
        await wire.send(request.replace(b"HTTP/1.1", b"HTTP/1.0"))
        while not world.hub.parked:
            await asyncio.sleep(0)
        await world.run(made["id"], 42)
        assert b'"succeeded"' in await wire.rest()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
async def test_whole_answers_are_sent_as_uvicorn_sends_them(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    world = await world_on_a_port()
    paths = ["/v1/account", "/v1/predictions", "/v1/none", f"/v1/predictions/{await finished(world)}", "/healthz"]
    requests = [get(path, world.token, "X-Request-Id: same") for path in paths]
    requests += [get(path, world.token, "X-Request-Id: same", "Connection: close") for path in paths[:1]]
    request = b"".join(requests).replace(b"GET", method.encode())
    async with running(world) as server:
        async with connected(server) as wire:
            await wire.send(request)
            at_once = await wire.rest()
        monkeypatch.setattr(GuardedProtocol, "_may_write", lambda *_: False)
        async with connected(server) as wire:
            await wire.send(request)
            by_uvicorn = await wire.rest()
    assert undated(at_once) == undated(by_uvicorn)
    assert at_once.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0", b"a\x7f"])
def test_a_head_with_control_characters_is_refused(value: bytes) -> None:
    assert head_of(b"HTTP/1.1 200 OK\r\n", [(b"x", "é\t!".encode())], keep_alive=True).endswith(b"!\r\n\r\n")
    with pytest.raises(ValueError, match="control character"):
        head_of(b"HTTP/1.1 200 OK\r\n", [(b"x", value)], keep_alive=True)
