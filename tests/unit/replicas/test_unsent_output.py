"""Output that a process wrote before it ended in any way arrives once, and each line has its owner."""

import asyncio
import os
import random
import signal
import struct

import pytest

from halley.clock import SystemClock
from halley.replicas.memory import descendants
from halley.replicas.output_journal import SIZE_BYTES, TEXT_AT, OutputJournal, UnsentOutput
from halley.testing.providers import logs, within
from unit.replicas.processes import V, until

pytestmark = pytest.mark.anyio

COUNTS = """
    import os
    def run(text: str) -> str:
        way, length = text.split()
        pad = "é" * int(length)
        with open("counted", "wb", buffering=0) as counted:
            for number in range(10_000_000):
                if way == "print":
                    print(number, pad)
                else:
                    os.write(1, f"{number} {pad}\\n".encode())
                counted.write(b"%d\\n" % number)
        return text
    """
EACH = """
    import asyncio, os
    from cog import BaseRunner, concurrent
    class Runner(BaseRunner):
        @concurrent(max=8)
        async def run(self, text: str) -> str:
            print("begins", text)
            if text != "last":
                await asyncio.sleep(1000)
            await asyncio.sleep(0.2)
            print("ends", text)
            asyncio.get_running_loop().call_soon(print, "from the loop")
            await asyncio.sleep(0)
            os._exit(9)
            return text
    """


@pytest.mark.parametrize("way", ["print 0", "print 30", "print 70000", "write 0", "write 1000"])
async def test_a_flood_that_is_cut_off_is_whole_up_to_where_it_was_cut(model, serve, way: str) -> None:
    source = model(COUNTS)
    chance = random.Random(way)
    async with serve(source, clock=SystemClock(), backoff_first_seconds=0.01, backoff_most_seconds=0.01) as served:
        for number in range(6):
            await served.load(V)
            counted = source.folder / "counted"
            counted.unlink(missing_ok=True)
            following = asyncio.ensure_future(served.follow(await served.begin(V, way, f"p{number}")))
            await until(lambda: counted.exists() and counted.stat().st_size > 0)  # noqa: B023
            await asyncio.sleep(chance.random() * 0.2)
            os.kill(descendants(served.pid)[1], signal.SIGKILL)  # the first is its supervisor
            said, outcome = await following
            assert outcome.status == "failed"
            whole, _, rest = logs(said).rpartition("\n")
            lines = whole.split("\n")
            pad = " " + "é" * int(way.split()[1])
            assert lines == [f"{n}{pad}" for n in range(len(lines))]
            assert f"{len(lines)}{pad}".startswith(rest)
            assert len(lines) >= counted.read_bytes().count(b"\n")


async def test_concurrent_predictions_keep_their_own_last_lines(model, serve) -> None:
    async with serve(model(EACH)) as served:
        await served.load(V)
        handles = [await served.begin(V, text, text) for text in ("one", "two", "last")]
        told = [logs(said) for said, _ in await asyncio.gather(*(served.follow(handle) for handle in handles))]
    assert told == ["begins one\n", "begins two\n", "begins last\nends last\nfrom the loop\n"]


async def test_more_than_waits_at_once_is_sent_before(model, serve) -> None:
    source = model("""
        import asyncio, os
        from cog import BaseRunner, concurrent
        class Runner(BaseRunner):
            @concurrent(max=8)
            async def run(self, text: str) -> str:
                for number in range(3):
                    print("\N{COMET}\N{FACE WITH TEARS OF JOY}" * 16_000, text, number, end=";")
                    await asyncio.sleep(0)
                if text != "d":
                    await asyncio.sleep(1000)
                print("!" * 1_000_000, end="")
                os._exit(9)
                return text
        """)
    async with serve(source) as served:
        await served.load(V)
        handles = [await served.begin(V, text, text) for text in "abcd"]
        told = [logs(said) for said, _ in await asyncio.gather(*(served.follow(handle) for handle in handles))]
    smile = "\N{COMET}\N{FACE WITH TEARS OF JOY}" * 16_000
    for text, logged in zip("abcd", told, strict=True):
        assert logged.removesuffix("!" * 1_000_000) == "".join(f"{smile} {text} {number};" for number in range(3))
    assert told[3].endswith("!" * 1_000_000)


async def test_unattributed_output_belongs_to_the_replica(model, serve) -> None:
    source = model("""
        import os, threading, time
        def idle():
            while not os.path.exists("go"):
                time.sleep(0.005)
            print("idle, and gone")
            os.write(2, b"really\\n")
            os._exit(3)
        class Runner:
            def setup(self):
                threading.Thread(target=idle, daemon=True).start()
            def run(self, text: str) -> str:
                return text
        """)
    async with serve(source) as served:
        await served.load(V)
        (source.folder / "go").touch()
        await until(lambda: not served.pid)
    assert "idle, and gone\nreally\n" in served.printed.text


async def test_the_output_of_a_setup_that_dies_is_in_its_reason(model, serve) -> None:
    source = model("""
        import os
        class Runner:
            def setup(self):
                print("so far so good")
                os.write(1, b"and so on")
                os._exit(4)
            def run(self, text: str) -> str:
                return text
        """)
    async with serve(source) as served:
        served.provider.request_capacity(V)
        _, error, _ = await within(served.broken.get())
    assert "Its last output:\nso far so good\nand so on" in error


def left(body: bytes, *, end: int | None = None, noted: int = 0) -> list[UnsentOutput]:
    """The output that the server reads from a journal with this content."""
    journal = OutputJournal()
    os.pwrite(journal.child_descriptors[2], body, TEXT_AT)
    os.pwrite(journal.child_descriptors[2], struct.pack("<II", TEXT_AT + len(body) if end is None else end, noted), 0)
    journal.close_child_descriptors()
    try:
        return journal.unsent()
    finally:
        journal.close()


def record(text: bytes, before: int = 0, name: bytes = b"p", length: int | None = None) -> bytes:
    return struct.pack("<IQH", len(text) if length is None else length, before, len(name)) + name + text


def test_records_are_read_in_order_without_received_text() -> None:
    found = left(record(b"one\n", 7) + record(b"two\n", 0, b"") + record("dré".encode(), 11, length=0))
    assert [(piece.prediction_id, piece.before, piece.text) for piece in found] == [
        ("p", 7, "one\n"),
        (None, 0, "two\n"),
        ("p", 11, "dré"),
    ]
    assert [found[0].after(heard) for heard in (7, 8, 11, 100)] == ["one\n", "ne\n", "", ""]


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (b"", 0),
        (b"", 2**32 - 1),
        (record(b"text", length=2**32 - 1), None),
        (record(b"text", before=2**64 - 1), None),
        (record(b"text", name=b"\xff" * 60_000), None),
        (b"\xff" * (SIZE_BYTES - TEXT_AT), None),
        (bytes(SIZE_BYTES - TEXT_AT), None),
        (record(b"text")[:9], None),
    ],
)
def test_any_content_of_the_journal_can_be_read(body: bytes, end: int | None) -> None:
    found = left(body, end=end)
    assert sum(len(piece.after(0)) for piece in found) <= SIZE_BYTES
