"""The writer: one commit for many, and nobody pays for somebody else's failure."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from halley.errors import Conflict, HalleyError, Overloaded, StorageFull, Unusable
from halley.store.sqlite.schema import connect
from halley.store.sqlite.writer import BATCH_LIMIT, GroupWriter

pytestmark = pytest.mark.anyio


class Remembered:
    """A recollection that counts."""

    def __init__(self) -> None:
        self.reloads = 0
        self.settled = self.begun = self.committed = 0

    def reload(self, connection: sqlite3.Connection) -> None:
        self.reloads += 1

    def begin(self, connection: sqlite3.Connection) -> None:
        self.begun += 1

    def commit(self) -> None:
        self.committed += 1

    def settle(self, connection: sqlite3.Connection) -> None:
        self.settled += 1


class Bench:
    """A writer on a table of numbers, and what its connection was told."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.connection = connect(path, read_only=False, cache_kib=256)
        self.connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
        self.statements: list[str] = []
        self.connection.set_trace_callback(self.statements.append)
        self.remembered = Remembered()
        self.writer = GroupWriter(self.connection, self.remembered, **options)

    def count(self, statement: str) -> int:
        return sum(text.startswith(statement) for text in self.statements)

    def put(self, number: int) -> asyncio.Future[int]:
        return self.writer.submit(_insert, number)

    def stored(self) -> list[int]:
        connection = sqlite3.connect(self.path)
        try:
            return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]
        finally:
            connection.close()

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Keep the writer busy, so that what is submitted in the block comes in one batch."""
        entered, gate = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> None:
            entered.set()
            gate.wait(10)

        hold = self.writer.submit(wait)
        await asyncio.to_thread(entered.wait, 10)
        try:
            yield
        finally:
            gate.set()
            await hold


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "t.db")
    yield bench
    await asyncio.to_thread(bench.writer.close)


def _insert(connection: sqlite3.Connection, number: int) -> int:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return number


def _refuse(connection: sqlite3.Connection) -> HalleyError:
    return Conflict("no")


async def test_the_writer_syncs_fully(bench: Bench) -> None:
    def read(connection: sqlite3.Connection) -> tuple[Any, ...]:
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode"))

    assert await bench.writer.submit(read) == (2, "wal")


async def test_what_waits_together_is_committed_together(bench: Bench) -> None:
    async with bench.held_up():
        futures = [bench.put(number) for number in range(BATCH_LIMIT)]
    assert await asyncio.gather(*futures) == list(range(BATCH_LIMIT))
    assert bench.count("COMMIT") == 2
    assert bench.count("SAVEPOINT") == 0
    assert bench.stored() == list(range(BATCH_LIMIT))


async def test_a_batch_has_a_limit(bench: Bench) -> None:
    async with bench.held_up():
        futures = [bench.put(number) for number in range(BATCH_LIMIT + 1)]
    await asyncio.gather(*futures)
    assert bench.count("COMMIT") == 3


async def test_turns_that_bring_more_writes_are_waited_for(bench: Bench) -> None:
    await asyncio.gather(*(bench.put(number) for number in range(16)))
    before, futures = bench.count("COMMIT"), []
    for number in range(16, 20):
        futures.append(bench.put(number))
        await asyncio.sleep(0)  # a turn of the loop
    await asyncio.gather(*futures)
    assert bench.count("COMMIT") == before + 1


async def test_a_turn_that_brings_nothing_is_waited_for_once(bench: Bench) -> None:
    await asyncio.gather(*(bench.put(number) for number in range(16)))
    for number, turns in ((16, 2), (17, 1)):  # after many were told, and after one was
        future = bench.put(number)
        for _ in range(turns):
            assert bench.writer._is_waking
            await asyncio.sleep(0)
        assert not bench.writer._is_waking
        await future


async def test_a_failed_prediction_affects_only_itself(bench: Bench) -> None:
    async with bench.held_up():
        futures = [bench.put(number) for number in (1, 2, 2, 3)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert outcomes[:2] == [1, 2]
    assert isinstance(outcomes[2], sqlite3.IntegrityError)
    assert outcomes[3] == 3
    assert bench.stored() == [1, 2, 3]
    assert bench.remembered.reloads == 2  # after the batch, and after the one


async def test_a_returned_refusal_affects_no_other_request(bench: Bench) -> None:
    async with bench.held_up():
        first, refused, last = bench.put(1), bench.writer.submit(_refuse), bench.put(2)
    assert (await first, await last) == (1, 2)
    with pytest.raises(Conflict):
        await refused
    assert bench.remembered.reloads == 0
    assert bench.count("ROLLBACK") == 0


async def test_the_others_are_told_when_one_cannot_be(bench: Bench) -> None:
    told: list[object] = []
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reported.append(report))

    def break_down(_: object) -> None:
        raise RuntimeError("planned")

    async with bench.held_up():
        bench.writer.submit_and_tell(_insert, 1, told=break_down)
        bench.writer.submit_and_tell(_refuse, told=told.append)
        bench.writer.submit_and_tell(_insert, 2, told=told.append)
        last = bench.put(3)
    await last
    assert isinstance(told[0], Conflict)
    assert told[1:] == [2]
    assert len(reported) == 1


async def test_a_writer_that_stops_waiting_has_written(bench: Bench) -> None:
    async with bench.held_up():
        future = bench.put(1)
        future.cancel()
    await bench.put(2)
    assert bench.stored() == [1, 2]


async def test_a_result_without_a_caller_is_passed_to_undo(bench: Bench) -> None:
    orphans: list[int] = []
    async with bench.held_up():
        bench.writer.submit(_insert, 1, orphaned=orphans.append).cancel()
        kept = bench.writer.submit(_insert, 2, orphaned=orphans.append)
    assert await kept == 2
    assert orphans == [1]


async def test_closing_writes_what_is_queued(bench: Bench) -> None:
    async with bench.held_up():
        futures = [bench.put(number) for number in range(50)]
        closing = asyncio.create_task(asyncio.to_thread(bench.writer.close))
        await asyncio.sleep(0)
    await closing
    assert await asyncio.gather(*futures) == list(range(50))
    assert bench.stored() == list(range(50))
    with pytest.raises(Unusable):
        bench.put(99)
    bench.writer.close()


async def test_a_transaction_that_is_rolled_back_by_sqlite_fails_only_its_cause(bench: Bench) -> None:
    def end_it(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (7)")
        connection.execute("INSERT OR ROLLBACK INTO numbers VALUES (7)")

    async with bench.held_up():
        first, guilty, last = bench.put(1), bench.writer.submit(end_it), bench.put(2)
    assert (await first, await last) == (1, 2)
    with pytest.raises(sqlite3.IntegrityError):
        await guilty
    assert bench.stored() == [1, 2]


async def test_a_locked_database_is_busy_not_broken(bench: Bench) -> None:
    await bench.writer.submit(lambda connection: connection.execute("PRAGMA busy_timeout=1") and None)
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Overloaded, match="locked"):
        await bench.put(1)
    other.execute("ROLLBACK")
    other.close()
    assert await bench.put(1) == 1


async def test_at_a_locked_database_waits_do_not_add_up(bench: Bench) -> None:
    await bench.writer.submit(lambda connection: connection.execute("PRAGMA busy_timeout=20") and None)
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    before = bench.count("BEGIN")
    many = [bench.put(number) for number in range(20)]
    refusals = await asyncio.gather(*many, return_exceptions=True)
    other.execute("ROLLBACK")
    other.close()
    assert [type(refusal) for refusal in refusals] == 20 * [Overloaded]
    assert 1 <= bench.count("BEGIN") - before <= 3, "each of them was waited for"
    assert await asyncio.gather(*[bench.put(number) for number in range(20)]) == list(range(20))


async def test_a_failed_sync_stops_all_writing(tmp_path: Path) -> None:
    fail = False

    def failpoint(name: str) -> None:
        if fail and name == "before_commit":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

    bench = Bench(tmp_path / "t.db", failpoint=failpoint)
    await bench.put(1)
    fail = True
    with pytest.raises(Unusable, match="Check the disk"):
        await bench.put(2)
    fail = False
    with pytest.raises(Unusable):
        await bench.put(3)
    assert bench.writer.broken is not None
    assert bench.stored() == [1]
    await asyncio.to_thread(bench.writer.close)


async def test_failpoints_stand_around_the_commit(tmp_path: Path) -> None:
    names: list[str] = []
    bench = Bench(tmp_path / "t.db", failpoint=names.append)
    await bench.put(1)
    assert names == ["before_commit", "after_commit"]
    await asyncio.to_thread(bench.writer.close)


@pytest.mark.parametrize(("planted", "stored"), [(frozenset[str](), [1]), (frozenset({"ack_before_commit"}), [])])
async def test_the_planted_bug_answers_before_the_commit(
    tmp_path: Path, planted: frozenset[str], stored: list[int]
) -> None:
    gate = threading.Event()
    reached = threading.Event()

    def failpoint(name: str) -> None:
        if name == "before_commit":
            reached.set()
            gate.wait(10)

    bench = Bench(tmp_path / "t.db", failpoint=failpoint, planted=planted)
    future = bench.put(1)
    await asyncio.to_thread(reached.wait, 10)
    for _ in range(3):
        await asyncio.sleep(0)
    if not planted:
        assert not future.done()
        gate.set()
    await future
    assert bench.stored() == stored
    gate.set()
    await asyncio.to_thread(bench.writer.close)


async def test_the_planted_bug_tells_each_write_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "t.db", planted=frozenset({"ack_before_commit"}))
    told: list[Any] = []
    async with bench.held_up():
        for number in range(3):
            bench.writer.submit_and_tell(_insert, number, told=told.append)
    assert await bench.put(3) == 3
    assert told == [0, 1, 2]
    await asyncio.to_thread(bench.writer.close)


@pytest.mark.parametrize("planted", [frozenset[str](), frozenset({"ack_before_commit"})])
async def test_a_writer_is_told_whatever_another_listener_raises(tmp_path: Path, planted: frozenset[str]) -> None:
    bench = Bench(tmp_path / "t.db", planted=planted)
    found: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context["message"]))

    def fail(_: object) -> None:
        raise ZeroDivisionError

    async with bench.held_up():
        learned = bench.writer.submit(_insert, 1, committed=fail)
        bench.writer.submit_and_tell(_insert, 2, told=fail)
        after = bench.put(3)
    assert [await asyncio.wait_for(learned, 10), await after] == [1, 3]
    assert len(found) == 2
    await asyncio.to_thread(bench.writer.close)


async def test_a_close_and_a_write_may_wake_the_writer_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "t.db")
    lock = bench.writer._wake

    class Overtaken:
        """Another thread releases between the look and the release."""

        acquire = lock.acquire
        release = lock.release

        def locked(self) -> bool:
            is_locked = lock.locked()
            if is_locked:
                lock.release()
                bench.writer._thread.join(0.1)  # not before the writer has it again
                lock.acquire(blocking=False)
                lock.release()
            return is_locked

    bench.writer._wake = Overtaken()  # type: ignore[assignment]
    assert await asyncio.wait_for(bench.put(1), 10) == 1
    await asyncio.to_thread(bench.writer.close)
    assert bench.stored() == [1]


@pytest.mark.parametrize("limit_first", [True, False])
async def test_a_full_disk_is_reported(bench: Bench, limit_first: bool) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS big (data BLOB)")
        connection.execute("INSERT INTO big VALUES (zeroblob(1000000))")

    def limit(pages: int) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchone() and None

    await bench.writer.submit(limit(20))
    async with bench.held_up():
        before = bench.put(1) if limit_first else None
        full = bench.writer.submit(fill)
        after = bench.put(2)
    with pytest.raises(StorageFull):
        await full
    assert await after == 2
    assert before is None or await before == 1
    await bench.writer.submit(limit(100_000))
    await bench.writer.submit(fill)
