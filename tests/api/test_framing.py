"""Requests as RFC 9110 and 9112 want them taken: hosts, codings, trailers, old clients, half-closed connections."""

import asyncio

import pytest

from api.test_files import painted
from api.test_server import connected, connections, finished, get, running, world_on_a_port
from api.world import World
from halley.api.server import UvicornServer
from halley.predictions.ports import Created, NewPrediction

pytestmark = pytest.mark.anyio

CLOSE = "Connection: close"
BODY = b'{"version":"acme/free"}'
CHUNKS = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)


def post(token: str, *extra: str, host: str = "Host: localhost:1986") -> bytes:
    lines = ["POST /v1/predictions HTTP/1.1", host, f"Authorization: Bearer {token}", *extra]
    return "\r\n".join([*lines, "", ""]).encode()


async def asked(server: UvicornServer, data: bytes, *, half: bool = False) -> bytes:
    """All that comes back for these bytes."""
    async with connected(server) as wire:
        await wire.send(data)
        if half:
            wire.writer.write_eof()
        return await wire.rest()


async def test_a_key_in_a_trailer_is_no_key() -> None:
    world = await world_on_a_port()
    head = post(world.token, "Transfer-Encoding: chunked", CLOSE)
    without = head.replace(f"Authorization: Bearer {world.token}\r\n".encode(), b"")
    key = f"Authorization: Bearer {world.token}\r\n".encode()
    async with running(world) as server:
        assert (await asked(server, without + CHUNKS + key + b"\r\n")).startswith(b"HTTP/1.1 401")
        plain = await asked(server, head + CHUNKS + b"Prefer: wait=5\r\nContent-Type: x\r\n\r\n")
        assert plain.startswith(b"HTTP/1.1 201")
        assert b"preference-applied" not in plain


@pytest.mark.parametrize("begun", [b"5;", CHUNKS + b"X: ", CHUNKS + b"X: y\r\n" * 9_000], ids=["size", "line", "lines"])
async def test_what_stands_beside_chunks_is_bounded(begun: bytes) -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        await wire.send(post(world.token, "Transfer-Encoding: chunked") + begun)
        for _ in range(20):
            await wire.send(b"x" * 60_000)
            await asyncio.sleep(0.01)
        assert (await wire.rest()).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("", b"400"),
        ("Host: localhost\r\nHost: localhost", b"400"),
        ("Host: localhost\r\nHost: evil.example", b"400"),
        ("Host: a b", b"400"),
        ("Host: a/b", b"400"),
        ("Host: a@b", b"400"),
        ("Host: a:80:80", b"400"),
        ("Host: [::1]:1986", b"200"),
        ("Host: LOCALHOST:1986", b"200"),
        ("Host:", b"200"),
    ],
)
async def test_there_is_one_host(host: str, status: bytes) -> None:
    world = await world_on_a_port()
    prediction_id = await finished(world)
    right = get(f"/v1/predictions/{prediction_id}", world.token)
    data = right.replace(b"Host: localhost:1986\r\n", f"{host}\r\n".encode() if host else b"")
    async with running(world) as server, connected(server) as wire:
        for _ in range(2):  # the second one may take the short cut
            await wire.send(right)
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 200")
        await wire.send(data)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 " + status)


async def test_an_old_client_needs_no_host() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        assert (await asked(server, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        newer = await asked(server, b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n")
        assert newer.startswith(b"HTTP/1.1 505")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Transfer-Encoding: chunked"], b"201"),
        (["Transfer-Encoding: Chunked "], b"201"),
        (["Transfer-Encoding: gzip, chunked"], b"501"),
        (["Transfer-Encoding: gzip"], b"400"),
        (["Transfer-Encoding: identity"], b"400"),
        (["Transfer-Encoding: chunked, identity"], b"400"),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], b"400"),
        (["Transfer-Encoding: xchunked"], b"400"),
        (["Transfer-Encoding:\r\n chunked"], b"400"),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], b"400"),
        (["Content-Length: 23", "Content-Length: 3"], b"400"),
        (["Content-Length: 23, 23"], b"400"),
        (["Content-Length : 23"], b"400"),
        (["X: a\nContent-Length: 23"], b"400"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_body_has_one_length(lines: list[str], status: bytes) -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        answer = await asked(server, post(world.token, *lines, CLOSE) + CHUNKS + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
        old = post(world.token, "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0")
        assert (await asked(server, old + CHUNKS + b"\r\n")).startswith(b"HTTP/1.1 400")


async def test_the_host_of_a_whole_url_counts() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        for target, host in (("http://localhost:77", "evil.example"), ("http://evil.example", "localhost:77")):
            line = get(f"{target}/v1/models/acme/echo", world.token, CLOSE)
            answer = await asked(server, line.replace(b"Host: localhost:1986", f"Host: {host}".encode()))
            assert (b'"url":"http://localhost:77/v1' in answer) is ("localhost" in target)


async def test_a_stream_to_an_old_client_is_not_chunked() -> None:
    world = await world_on_a_port()
    made = await world.create("acme/tokens")
    await world.run(made["id"], ["a"])
    path = made["urls"]["stream"].removeprefix("http://localhost:1986")
    async with running(world) as server:
        answer = await asked(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert (await asked(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())) is not None
        expecting = post(world.token, f"Content-Length: {len(BODY)}", "Expect: 100-continue")
        waited = await asked(server, expecting.replace(b"HTTP/1.1", b"HTTP/1.0") + BODY)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body.startswith(b": hi\n\n")
    assert body.endswith(b"event: done\nid: %b\ndata: {}\n\n" % body.rpartition(b"id: ")[2].partition(b"\n")[0])
    assert waited.startswith(b"HTTP/1.1 201")


# half-closed connections ------------------------------------------------------------------------------------------


async def test_a_half_closed_create_gets_its_answer() -> None:
    world = await world_on_a_port()
    length = f"Content-Length: {len(BODY)}"
    async with running(world) as server:
        answer = await asked(server, post(world.token, length) + BODY, half=True)
        assert answer.startswith(b"HTTP/1.1 201")
        assert b'"status":"starting"' in answer
        both = await asked(server, get("/v1/account", world.token) + get("/healthz", world.token), half=True)
        assert both.count(b"HTTP/1.1 200") == 2
        assert (await asked(server, post(world.token, "Content-Length: 99") + BODY, half=True)) == b""


async def test_a_half_closed_create_that_is_being_stored_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await world_on_a_port()
    may_store = asyncio.Event()
    create = world.store.create

    async def slowly(new: NewPrediction) -> Created:
        await may_store.wait()
        return await create(new)

    monkeypatch.setattr(world.store, "create", slowly)
    async with running(world) as server, connected(server) as wire:
        await wire.send(post(world.token, f"Content-Length: {len(BODY)}") + BODY)
        wire.writer.write_eof()
        while not all(one._has_eof for one in await connections(server)):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        may_store.set()
        assert (await wire.rest()).startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize("is_parked", [False, True], ids=["waiting", "parked"])
async def test_a_half_closed_wait_is_answered_with_what_is_known(*, is_parked: bool) -> None:
    world = await world_on_a_port()
    async with running(world) as server, connected(server) as wire:
        await wire.send(post(world.token, f"Content-Length: {len(BODY)}", "Prefer: wait=30") + BODY)
        await held(world, server, is_parked=is_parked)
        wire.writer.write_eof()
        answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 202")
    assert len(world.hub) == 0


async def held(world: World, server: UvicornServer, *, is_parked: bool) -> None:
    while not len(world.hub):
        await asyncio.sleep(0)
    while is_parked and (not world.hub.parked or server.server_state.tasks):
        world.clock.advance(0.5)
        await asyncio.sleep(0.05)


async def test_a_half_closed_read_is_answered_too() -> None:
    world = await world_on_a_port()
    painting = await painted(world, size=3_000_000)
    link = (await world.get(f"/v1/predictions/{painting}")).json()["output"].removeprefix("http://localhost:1986")
    async with running(world) as server:
        whole = await asked(server, get(link, world.token), half=True)
        assert len(whole.partition(b"\r\n\r\n")[2]) == 3_000_000


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize("size", [1, 100, 10_000])
@pytest.mark.parametrize("length", [f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"])
async def test_a_request_that_offers_another_protocol_is_an_ordinary_one(length: str, size: int) -> None:
    world = await world_on_a_port()
    body = CHUNKS + b"\r\n" if "chunked" in length else BODY
    data = (post(world.token, *UPGRADE, length) + body) * 2 + get("/healthz", world.token)
    async with running(world) as server, connected(server) as wire:
        for start in range(0, len(data), size):
            await wire.send(data[start : start + size])
        heads = [(await wire.answer())[0] for _ in range(3)]
    assert [head[9:12] for head in heads] == [b"201", b"201", b"200"]


async def test_what_follows_an_offer_of_another_protocol_is_no_body() -> None:
    world = await world_on_a_port()
    offer = get("/healthz", world.token).replace(b"\r\n\r\n", "\r\n".join(["", *UPGRADE, "", ""]).encode())
    async with running(world) as server, connected(server) as wire:
        await wire.send(offer * 2 + post(world.token, *UPGRADE, "Connection: close", "Content-Length: 3") + b"{}}")
        heads = [(await wire.answer())[0] for _ in range(3)]
    assert [head[9:12] for head in heads] == [b"200", b"200", b"400"]
