"""A large output on its way from the model to the store: never twice in memory for longer than one copy takes."""

import asyncio
import socket
import tracemalloc
from collections.abc import Coroutine, Sequence
from pathlib import Path
from struct import pack
from typing import Any

import msgspec
import pytest

from halley.assets.outputs import OutputFileStore
from halley.bus.local import LocalBus
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.ports import OutputPart, Work
from halley.dispatch.recorder import Recorder
from halley.dispatch.rules import DispatchRules
from halley.models.catalog import Catalog
from halley.predictions.queue import Appended, Lease
from halley.predictions.records import OutputFile, OutputItem, encode_output
from halley.replicas import frames
from halley.replicas.channel import Body, Channel
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock
from halley.testing.dispatch import NoFolders, ScriptedStaging
from unit.replicas.processes import until

pytestmark = pytest.mark.anyio
SIZE = 20 * 2**20


class Fit:
    """The large values' reader: every value is fit."""

    async def unfit(self, value: object) -> None:
        """Nothing is wrong with it."""


class Run:
    """A run that nobody has to stop."""

    lease = Lease(prediction_id="p", session_id="s", fence=1, attempt=1)

    def stop(self) -> None:
        """Nothing runs."""

    def lose_lease(self) -> None:
        """Nothing runs."""


class Queue:
    """Keeps what is appended, as the store's writer would hold it."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    async def append_events(self, lease: Lease, events: Any) -> Appended:
        self.data += [event.data for event in events]
        return Appended(revision=1, is_terminal=False)


async def test_its_bytes_are_copied_once_between_the_socket_and_the_store() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    queue, tasks = Queue(), set()

    def start_soon(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    clock = FakeClock()
    parts = RunParts(
        queue=queue,  # type: ignore[arg-type]
        bus=LocalBus(),
        clock=clock,
        catalog=Catalog(MemoryStore(clock=clock)),
        files=RunFiles(
            stager=ScriptedStaging(),
            workspace=NoFolders(),
            keeper=OutputFileStore(blob_references=None, large=Fit()),  # type: ignore[arg-type]
        ),
        rules=DispatchRules(),
    )
    recorder = Recorder(Run(), parts=parts, start_soon=start_soon)
    recorder.folder = Path()

    def take(bodies: Sequence[Body]) -> None:
        for body in bodies:
            frame = frames.decode(body)
            assert isinstance(frame, frames.OutputFrame)
            recorder.emit(OutputPart(value=frame.value))

    body = b'{"t":"output","id":"p","value":"' + b"y" * SIZE + b'"}'
    loop = asyncio.get_running_loop()
    tracemalloc.start()
    try:
        channel = Channel(theirs, take=take, ended=lambda fault: None)
        await loop.sock_sendall(ours, pack("<I", len(body)) + body[:1000])
        await loop.sock_sendall(ours, memoryview(body)[1000:])
        await until(lambda: bool(queue.data))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [len(data) for data in queue.data] == [len('{"value":"","files":[]}') + SIZE]
    assert peak < 2.2 * SIZE, "the frame, and the event that is made of it"
    assert held < 1.2 * SIZE, "the frame is let go of"
    assert recorder.error is None
    channel.close()
    ours.close()


async def test_its_event_is_spelled_as_an_encoder_would() -> None:
    odd = OutputFile(ref='"value":0', index=0, name='a"value":0', sha256="0", size_bytes=1, content_type="a/b")
    for files in ((), (odd,)):
        for value in (b"0", b'"\\"value\\":0"', b'{"value":0}'):
            plain = msgspec.json.encode(OutputItem(value=msgspec.Raw(value), files=files))
            assert encode_output(value, files) == encode_output(msgspec.Raw(value), files) == plain


async def test_an_input_is_sent_as_an_encoder_would() -> None:
    for given in (b"{}", b'{"input":0}', b'{"a":"\\"input\\":0"}'):
        told: dict[str, Any] = {"attempt": 1, "paths": (("input", 0),)}
        plain = frames.encode(
            frames.PredictFrame(
                id='p"input":0', input=msgspec.Raw(given), context=msgspec.Raw(b'{"input":0}'), folder="input", **told
            )
        )
        work = work_of(given, prediction_id='p"input":0', context=b'{"input":0}', folder="input", **told)
        pieces = frames.predict(work)
        assert b"".join(pieces) == plain
        assert pieces[1] is given


@pytest.mark.parametrize("given", [b"{}", b'{"a":"%s"}', b'{"a":"' + b"x" * 2**14 + b'"}', '{"ä":"ö"}'.encode()])
@pytest.mark.parametrize("name", ["p1", 'a"\\\n\0', "\N{ROCKET}%s"])
async def test_a_plain_input_is_sent_as_an_encoder_would(given: bytes, name: str) -> None:
    for folder in (None, f"/runs/{name}.1"):
        plain = frames.PredictFrame(id=name, attempt=7, input=msgspec.Raw(given), folder=folder)
        work = work_of(given, prediction_id=name, attempt=7, folder=folder)
        assert b"".join(frames.predict(work)) == frames.encode(plain)


def work_of(given: bytes, **more: Any) -> Work:
    return Work(version="v", model="a/b", input=given, **more)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
async def test_letters_may_lie_across_the_pieces_that_are_looked_at(at: int) -> None:
    text = "y" * (frames._PIECE_BYTES - 40 + at) + "\N{ROCKET}" * 100_000
    frame = frames.decode(b'{"t":"output","id":"p","value":"%s"}' % text.encode())
    assert isinstance(frame, frames.OutputFrame)
    broken = b'{"t":"output","id":"p","value":"%s\xf0\x9f"}' % text.encode()
    for wrong in (broken, bytearray(broken)):
        with pytest.raises(ValueError, match=r"utf-8|unexpected end"):
            frames.decode(wrong)
