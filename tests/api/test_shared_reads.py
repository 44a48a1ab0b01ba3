"""Of many readers of a stream one reads, and the others send what it has read: each gets what it would read itself."""

import asyncio
import random
from typing import Any

import pytest

from api.test_server import connected, get, running, world_on_a_port
from api.test_stream_readers import dechunked, everything, last_id, request
from api.world import CountingStore, World, settled
from halley.api.server import UvicornServer
from halley.api.waiting.hold import Hold
from halley.api.waiting.streams import KEEP_ALIVE
from halley.predictions.records import Event

pytestmark = pytest.mark.anyio
END = b"\r\n0\r\n\r\n"


class Reader:
    """A client that reads a stream to its end."""

    def __init__(self, server: UvicornServer, sent: bytes) -> None:
        self._server = server
        self.sent = sent
        self.got = bytearray()
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async with connected(self._server) as wire:
            await wire.send(self.sent)
            while not self.got.endswith(END) and (piece := await wire.reader.read(2**16)):
                self.got += piece

    @property
    def body(self) -> bytes:
        return dechunked(bytes(self.got)).replace(KEEP_ALIVE, b"")


async def waiting(world: World, count: int) -> None:
    """Return when so many streams wait for a change."""
    while sum(len(group.readers) for group in world.hub._groups.values()) < count:
        await asyncio.sleep(0.001)


async def streaming(world: World) -> Any:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    return made


def with_logs(made: Any) -> bytes:
    head, _, rest = request(made).partition(b" HTTP/1.1")
    return head + b"?logs=1 HTTP/1.1" + rest


@pytest.mark.parametrize("seed", range(4))
async def test_every_reader_gets_what_it_would_read_itself(seed: int) -> None:
    draw = random.Random(seed)
    world = await world_on_a_port()
    async with running(world) as server:
        made = await streaming(world)
        events = get(f"/v1/predictions/{made['id']}/events", world.token, "Accept: text/event-stream")
        kinds = [request(made), with_logs(made), events]
        readers = [Reader(server, sent) for sent in kinds for _ in range(3)]
        await waiting(world, len(readers))
        for number in range(60):
            if draw.random() < 0.5:
                await world.output(made["id"], f"w{number}" + "x" * draw.choice((0, 0, 70_000)), add=True)
            else:
                await world.log(made["id"], f"line {number}\r\n")
            if draw.random() < 0.3:
                await settled(draw.randrange(40))
            if draw.random() < 0.1:  # one that comes later, at a position of its own
                last = last_id(readers[0].body) if b"\nid: " in readers[0].got else ""
                readers.append(Reader(server, request(made, last)))
            if draw.random() < 0.1:  # a poll finds a change without a hint
                world.api.look([made["id"]])
        await world.finish(made["id"])
        await asyncio.wait_for(asyncio.gather(*[reader.reading for reader in readers]), 60)
        for reader in readers:
            assert reader.body == await everything(server, reader.sent)
        assert len(world.hub) == 0


async def test_one_reader_is_woken_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await world_on_a_port()
    woken: list[Hold] = []
    wake = Hold.wake

    def counted(hold: Hold) -> None:
        woken.append(hold)
        wake(hold)

    async with running(world) as server:
        made = await streaming(world)
        readers = [Reader(server, request(made)) for _ in range(20)]
        await waiting(world, 20)
        monkeypatch.setattr(Hold, "wake", counted)
        for number in range(5):
            await world.output(made["id"], f"w{number}", add=True)
            while not all(b"data: w%d\n" % number in reader.got for reader in readers):
                await asyncio.sleep(0.001)
            await waiting(world, 20)
        assert len(woken) == 5
        await world.finish(made["id"])
        await asyncio.gather(*[reader.reading for reader in readers])


class SlowEvents(CountingStore):
    """What was read of events is given when the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def read_events(self, *args: Any, **more: Any) -> list[Event]:
        self.asked += 1
        found = await super().read_events(*args, **more)
        await self.gate.wait()
        return found


class Few:
    """Readers inside this process; `pieces` are what each was sent."""

    def __init__(self, world: World, made: Any, count: int) -> None:
        self.pieces: list[list[bytes]] = [[] for _ in range(count)]
        self.tasks = [asyncio.ensure_future(self._read(world, made, pieces)) for pieces in self.pieces]

    async def _read(self, world: World, made: Any, pieces: list[bytes]) -> None:
        async def keep(chunk: bytes) -> None:
            pieces.append(chunk)

        def write(piece: bytes) -> bool:
            pieces.append(piece)
            return True

        path = made["urls"]["stream"].removeprefix("http://localhost:1986")
        await world.get(path, token=None, on_chunk=keep, scope_extra={"halley.stream": lambda: write})

    def count(self, text: bytes) -> list[int]:
        return [b"".join(pieces).count(text) for pieces in self.pieces]


async def test_when_the_one_that_reads_leaves_the_others_read() -> None:
    world = await World(store=(store := SlowEvents())).fill()
    made = await streaming(world)
    few = Few(world, made, 3)
    await waiting(world, 3)
    store.gate.clear()
    asked = store.asked
    await world.output(made["id"], "late", add=True)
    await settled()
    assert store.asked == asked + 1
    few.tasks[0].cancel()
    await settled()
    store.gate.set()
    await settled()
    assert few.count(b"data: late\n") == [0, 1, 1]
    await world.finish(made["id"])
    await asyncio.gather(*few.tasks[1:])


async def test_what_changes_while_one_reads_is_missed_by_nobody() -> None:
    world = await World(store=(store := SlowEvents())).fill()
    made = await streaming(world)
    few = Few(world, made, 3)
    await waiting(world, 3)
    store.gate.clear()
    await world.output(made["id"], "first", add=True)
    await settled()
    await world.output(made["id"], "second", add=True)
    await settled()
    store.gate.set()
    await settled()
    assert few.count(b"data: first\n") == few.count(b"data: second\n") == [1, 1, 1]
    await world.finish(made["id"])
    await asyncio.gather(*few.tasks)


async def test_a_reader_whose_key_is_revoked_gets_nothing_more() -> None:
    world = await world_on_a_port()
    async with running(world) as server:
        made = await streaming(world)
        token, key = await world.keys.issue("alice", "soon revoked")
        sent = get(f"/v1/predictions/{made['id']}/events", token, "Accept: text/event-stream")
        own = get(f"/v1/predictions/{made['id']}/events", world.token, "Accept: text/event-stream")
        stays, revoked = Reader(server, own), Reader(server, sent)
        await waiting(world, 2)
        (group,) = world.hub._groups.values()
        (hold,) = (one for one in group.members if one.carrier is not None and one.carrier[0] == key.id)
        for number in range(2):
            await world.output(made["id"], f"before {number}", add=True)
            while not all(b"before %d" % number in reader.got for reader in (stays, revoked)):
                await asyncio.sleep(0.001)
            await waiting(world, 2)
            if next(iter(group.readers)) is not hold:  # the other one will read for both
                break
        hold.is_revoked = True  # as its check finds it, before its task has run
        await world.output(made["id"], "secret", add=True)
        hold.wake()
        await asyncio.wait_for(revoked.reading, 60)
        await world.finish(made["id"])
        await asyncio.wait_for(stays.reading, 60)
        assert b"before" in revoked.got
        assert b"secret" not in revoked.got
        assert stays.body.count(b"secret") == 1
