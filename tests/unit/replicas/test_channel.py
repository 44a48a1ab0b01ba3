"""Frames over a socket: whole, in order, in one write, and never too much."""

import asyncio
import socket
import struct

import pytest

from halley.errors import TooLarge
from halley.replicas import frames
from halley.replicas.channel import FRAME_LIMIT_BYTES, Channel
from halley.testing.providers import within
from unit.replicas.processes import until

pytestmark = pytest.mark.anyio


class End:
    """One channel, what it took, and how it ended."""

    def __init__(self, sock: socket.socket) -> None:
        self.taken: list[bytes] = []
        self.ends: list[str | None] = []
        self.channel = Channel(sock, take=self.taken.extend, ended=self.ends.append)


async def test_frames_of_any_size_arrive_whole_and_in_order() -> None:
    here, there = map(End, socket.socketpair())
    sizes = [0, 1, 3, 4, 5, 100, 300_000, 7, 5_000_000, 262_144, 262_140, 2]
    bodies = [bytes([n]) * size for n, size in enumerate(sizes)]
    for body in bodies:
        here.channel.send(body)
        there.channel.send(body)
    await until(lambda: len(here.taken) == len(there.taken) == len(bodies))
    assert here.taken == there.taken == bodies
    here.channel.close()
    await until(lambda: bool(there.ends))
    assert (here.ends, there.ends) == ([], [None])


async def test_a_frame_may_come_byte_by_byte() -> None:
    ours, theirs = socket.socketpair()
    end = End(theirs)
    for byte in struct.pack("<I", 3) + b"abc" + struct.pack("<I", 1) + b"d":
        ours.send(bytes([byte]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await until(lambda: len(end.taken) == 2)
    assert end.taken == [b"abc", b"d"]
    ours.close()
    end.channel.close()


async def test_all_frames_of_a_turn_leave_in_one_write() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps the borders of writes
    end = End(ours)
    for body in (b"a", b"bc", b"def"):
        end.channel.send(body)
    theirs.setblocking(False)
    received = await within(asyncio.get_running_loop().sock_recv(theirs, 1000))
    assert received == b"".join(struct.pack("<I", len(body)) + body for body in (b"a", b"bc", b"def"))
    end.channel.close()
    theirs.close()


async def test_the_message_limit_holds() -> None:
    ours, theirs = socket.socketpair()
    end = End(theirs)
    with pytest.raises(TooLarge, match=r"67,108,865 bytes is over the limit"):
        end.channel.send(b"x" * (FRAME_LIMIT_BYTES + 1))
    ours.send(b"\xff\xff\xff\xff{")
    await until(lambda: bool(end.ends))
    assert end.ends == ["it sent a message of 4,294,967,295 bytes; the limit is 67,108,864"]
    ours.close()


async def test_sending_to_a_dead_process_is_harmless() -> None:
    ours, theirs = socket.socketpair()
    end = End(theirs)
    ours.close()
    end.channel.send(b"hello")
    await until(lambda: bool(end.ends))
    end.channel.send(b"hello")
    await asyncio.sleep(0)
    assert end.ends == [None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"t":"unheard of"}',
        b'{"t":"output","id":"p"}',
        b'{"t":"output","id":"p","value":NaN}',
        b'{"t":"done","id":"p","status":"aborted"}',
        b'{"t":"done","id":"p","status":"succeeded","has_value":true,"value":"\xff"}',
        b'{"t":"log","id":"p","text":"\\ud800"}',
    ],
)
async def test_what_is_not_protocol_is_a_fault(body: bytes) -> None:
    ours, theirs = socket.socketpair()
    faults: list[str | None] = []
    channel = Channel(theirs, take=lambda bodies: void(*map(frames.decode, bodies)), ended=faults.append)
    ours.send(struct.pack("<I", len(body)) + body)
    await until(lambda: bool(faults))
    assert (faults[0] or "").startswith("it sent something that is not protocol")
    channel.close()
    ours.close()


async def test_frames_are_spelled_as_the_protocol_says() -> None:
    predict = frames.PredictFrame(
        id="p", attempt=2, input=frames.msgspec.Raw(b'{"a": 1}'), paths=(("a", 0),), folder="/f"
    )
    assert frames.encode(predict) == (
        b'{"t":"predict","id":"p","attempt":2,"input":{"a": 1},"paths":[["a",0]],"folder":"/f","context":{}}'
    )
    assert frames.encode(frames.CancelFrame(id="p")) == b'{"t":"cancel","id":"p"}'
    assert frames.encode(frames.StopFrame()) == b'{"t":"stop"}'
    described = frames.decode(b'{"t":"described","schema":{"a":[]},"async":true,"max_concurrency":3,"new":1}')
    assert isinstance(described, frames.DescribedFrame)
    assert (described.is_async, described.max_concurrency, bytes(described.schema)) == (True, 3, b'{"a":[]}')
    failed = frames.decode(b'{"t":"setup_failed","error":"e","traceback":"t"}')
    assert isinstance(failed, frames.SetupFailedFrame)


def void(_: object) -> None:
    pass
