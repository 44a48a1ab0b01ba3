"""What only the SQLite store promises: durability, few commits, and memory that follows the file."""

import asyncio
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from halley.errors import HalleyError, QueueFull
from halley.keys.records import Account
from halley.predictions.ports import NewPrediction
from halley.predictions.status import EventKind, Fact, Status
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.store.sqlite.reads import LARGE_BYTES
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    SMALL,
    VERSION,
    Maker,
    claim_one,
    leased,
    on_duty,
    row_of,
    running,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_sqlite(tmp_path / "halley.db") as store:
        yield store


async def test_the_stores_own_writer_syncs_fully(store: SqliteStore) -> None:
    def read(connection: sqlite3.Connection) -> int:
        value: int = connection.execute("PRAGMA synchronous").fetchone()[0]
        return value

    assert await store._writer.submit(read) == 2


async def test_many_creates_share_few_commits(store: SqliteStore, maker: Maker) -> None:
    commits: list[str] = []
    await store._writer.submit(
        lambda connection: connection.set_trace_callback(
            lambda text: commits.append(text) if text == "COMMIT" else None
        )
    )
    news = [maker.new() for _ in range(200)]
    created = await asyncio.gather(*[store.create(new) for new in news])
    assert [item.prediction for item in created] == [new.prediction for new in news]
    assert len(commits) < 20


async def test_a_claim_reads_only_of_accounts_whose_turn_it_is(store: SqliteStore, maker: Maker) -> None:
    await asyncio.gather(*[store.create(maker.new(f"account-{number}")) for number in range(50)])
    await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
    statements: list[str] = []
    await store._writer.submit(lambda connection: connection.set_trace_callback(statements.append))
    claimed = await store.claim("s1", {VERSION: 2}, maker.clock.now())
    assert [item.prediction.account_id for item in claimed] == ["account-0", "account-1"]
    assert len([text for text in statements if "ORDER BY priority" in text]) == 2


async def test_everything_is_there_after_a_restart(tmp_path: Path, maker: Maker) -> None:
    path = tmp_path / "halley.db"
    async with open_sqlite(path) as store:
        account = Account(id="anna", username="anna", weight=4, created_at=maker.clock.now())
        await store.put_account(account)
        waits = (await store.create(maker.new())).prediction
        lease = await running(store, maker, priority=1)
        await store.append_events(lease, [maker.said("so far\n")])
        before = await row_of(store, lease.prediction_id)
        log = await store.read_log()
    async with open_sqlite(path) as store:
        assert await store.get(waits.id) == waits
        assert await store.get(lease.prediction_id) == before
        assert await store.waiting() == {VERSION: 1}
        assert store._counters.weight("anna") == 4
        assert await store.read_log() == log
        await store.renew("s1", maker.clock.now(), LEASE_SECONDS)
        done = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        assert (done.applied, done.prediction.logs) == (True, "so far\n")
        assert [event.offset > log[-1].offset for event in await store.read_log(log[-1].offset)] == [True]


async def test_secrets_leave_with_the_queue_entry(tmp_path: Path, maker: Maker) -> None:
    path, secret = tmp_path / "halley.db", b"clear-as-day-" * 3
    async with open_sqlite(path) as store:
        prediction = maker.prediction(input=b'{"token":"***"}')
        await store.create(NewPrediction(prediction=prediction, work_input=secret))
        claimed = await claim_one(store, maker)
        assert claimed.work_input == secret
        await store.finish(claimed.lease, Fact.FAILED, maker.clock.now())
        reading = sqlite3.connect(path)
        assert reading.execute("SELECT count(*) FROM queue").fetchone() == (0,)
        reading.close()
    assert secret not in path.read_bytes()


async def test_a_claimed_prediction_without_a_waiting_client_is_released(store: SqliteStore, maker: Maker) -> None:
    await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
    waiter = asyncio.ensure_future(store.create(NewPrediction(prediction=maker.prediction(), session_id="s1")))
    waiter.cancel()
    await store.create(maker.new(version="b" * 64))
    assert await store.waiting() == {VERSION: 1, "b" * 64: 1}
    claimed = await claim_one(store, maker)
    assert (claimed.lease.fence, claimed.lease.attempt) == (2, 1)


async def test_claimed_work_without_a_waiting_client_is_released(store: SqliteStore, maker: Maker) -> None:
    await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
    await store.create(maker.new())
    asyncio.ensure_future(store.claim("s1", {VERSION: 1}, maker.clock.now())).cancel()
    await store.put_account(Account(id="x", username="x", created_at=maker.clock.now()))
    assert await store.waiting() == {VERSION: 1}


async def test_memory_follows_the_file_after_a_failed_batch(tmp_path: Path, maker: Maker) -> None:
    fail = False

    def failpoint(name: str) -> None:
        if fail and name == "before_commit":
            raise RuntimeError("planned")

    async with open_sqlite(tmp_path / "halley.db", limits=SMALL, failpoint=failpoint) as store:
        await store.create(maker.new())
        offset = (await store.read_log())[-1].offset
        fail = True
        lost = maker.new()
        with pytest.raises(RuntimeError, match="planned"):
            await store.create(lost)
        fail = False
        assert await store.get(lost.prediction.id) is None
        assert await store.waiting() == {VERSION: 1}
        await store.create(maker.new())
        with pytest.raises(QueueFull):
            await store.create(maker.new())
        assert [event.offset for event in await store.read_log()] == [offset, offset + 1]


async def test_one_bad_create_does_not_spoil_its_batch(store: SqliteStore, maker: Maker) -> None:
    news = [maker.new() for _ in range(6)]
    bad = msgspec.structs.replace(news[2].prediction, input=object())  # no column takes it
    news[2] = NewPrediction(prediction=bad)
    outcomes = await asyncio.gather(*[store.create(new) for new in news], return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False, False, False]
    assert await store.waiting() == {VERSION: 5}
    assert len(await store.read_log()) == 5


async def test_nothing_scans_the_queue_or_the_predictions(store: SqliteStore, maker: Maker) -> None:
    """Every statement of the clocks, the claims and the lists finds its rows by an index."""
    statements: list[str] = []
    trace = statements.append
    await store._writer.submit(lambda connection: connection.set_trace_callback(trace))
    lease = await running(store, maker)
    await store.create(maker.new())
    await store.claim("s1", {VERSION: 2}, maker.clock.now())
    await store.renew("s1", maker.clock.now(), LEASE_SECONDS)
    await store.expire(await on_duty(store), maker.clock.now(), 60)
    await store.fail_waiting(await on_duty(store), VERSION, maker.clock.now(), "x", "x")
    await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
    await store.release(lease, maker.clock.now())
    await store.remove_data([lease.prediction_id], maker.clock.now())
    await store.remove_events(9)
    store._reads._other.set_trace_callback(trace)
    for group in await store.data_groups():
        await store.due(group, maker.clock.now(), 9)
        await store.due_with_files(group, maker.clock.now())
    store._reads._other.set_trace_callback(None)
    reading = store._reads._here
    reading.set_trace_callback(trace)
    await store.get(lease.prediction_id)
    await store.read_events(lease.prediction_id)
    await store.last_recorded_at()
    reading.set_trace_callback(None)
    plans = [
        (detail, text)
        for text in statements
        if text.startswith(("SELECT", "UPDATE", "DELETE"))
        for *_, detail in reading.execute(f"EXPLAIN QUERY PLAN {text}")
    ]
    assert plans
    short = ("CONSTANT ROW", "INDEX predictions_half_removed")  # the index holds nothing but what is wanted
    scans = [(detail, text) for detail, text in plans if detail.startswith("SCAN")]
    assert [scan for scan in scans if not any(words in scan[0] for words in short)] == []


async def test_the_fence_is_what_the_planted_bug_leaves_out(tmp_path: Path, maker: Maker) -> None:
    async with open_sqlite(tmp_path / "halley.db", planted=frozenset({"no_fence"})) as store:
        lease = await running(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        assert (await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())).applied
        kinds = [event.kind for event in await store.read_events(lease.prediction_id)]
        assert kinds.count(EventKind.FINISHED) == 2
        assert (await row_of(store, lease.prediction_id)).status is Status.SUCCEEDED


async def test_writing_after_closing_is_refused(tmp_path: Path, maker: Maker) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await leased(store, maker)
    with pytest.raises(HalleyError, match="closed"):
        await store.create(maker.new())


async def test_large_values_pass(store: SqliteStore, maker: Maker) -> None:
    text = "ü" * 2_000_000
    lease = await running(store, maker, input=msgspec.json.encode({"text": text}))
    done = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.said(text), maker.output(text)])
    assert done.prediction == await store.get(lease.prediction_id)
    assert done.prediction.logs == text
    assert (await store.page("anna", limit=1)).items[0].logs == ""


@pytest.mark.parametrize("size", [200, 20_000, 500_000])
async def test_removed_data_is_overwritten_in_the_file(tmp_path: Path, maker: Maker, size: int) -> None:
    """Large values lie on pages of their own: without being told, SQLite leaves those readable."""
    path, secret = tmp_path / "halley.db", "clear-as-day-" * (size // 13)
    async with open_sqlite(path) as store:
        for _ in range(3):
            lease = await running(store, maker, input=msgspec.json.encode({"prompt": secret}))
            said = [maker.said(secret), maker.output(secret)]
            await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=said)
            assert (await store.remove_data([lease.prediction_id], maker.clock.now())).prediction_ids
            while await store.remove_events(100):
                pass
        await store.create(maker.new())
    assert path.read_bytes().count(b"clear-as-day-clear-as-day-") == 0


async def test_a_page_reads_no_more_than_it_shows(store: SqliteStore, maker: Maker) -> None:
    for _ in range(12):
        await store.create(maker.new(input=b'"%b"' % (b"x" * 2**21)))
    tracemalloc.start()
    try:
        page = await store.page("anna", limit=100, limit_bytes=5 * 2**20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(page.items), page.has_older) == (2, True)
    assert peak < 6 * 2**20


async def test_what_is_large_is_not_read_in_the_loops_thread(store: SqliteStore, maker: Maker) -> None:
    asked: list[str] = []
    store._reads._other.set_trace_callback(asked.append)
    for size, is_elsewhere in ((10, False), (LARGE_BYTES + 1, True)):
        new = maker.new(input=b'{"a":"%s"}' % (b"b" * size))
        await store.create(new)
        asked.clear()
        found = await store.get(new.prediction.id)
        assert found is not None
        assert found.input == new.prediction.input
        assert bool(asked) == is_elsewhere
        asked.clear()
        assert await store.outline(new.prediction.id) is not None
        assert not asked


async def test_no_page_of_the_file_is_mapped(store: SqliteStore, maker: Maker, tmp_path: Path) -> None:
    """Mapped pages would count as memory of the process, and grow with what is stored."""
    created = await store.create(maker.new())
    with closing(sqlite3.connect(tmp_path / "halley.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # rows in the log are read without a mapping anyway
    assert await store.get(created.prediction.id) is not None
    assert f"{tmp_path}/halley.db\n" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("is_shared", [False, True])
async def test_notices_are_known_without_a_read(maker: Maker, tmp_path: Path, is_shared: bool) -> None:
    """Also those of an earlier process. With other writers, a read is needed each time."""
    for has_earlier in (False, True):
        async with open_sqlite(tmp_path / "halley.db", is_shared=is_shared) as store:
            assert store.deliveries.may_have_notices(0) is (has_earlier or is_shared)
            silent = await running(store, maker, f"silent-{has_earlier}")
            await store.finish(silent, Fact.SUCCEEDED, maker.clock.now())
            told = await running(store, maker, f"told-{has_earlier}", webhook="http://127.0.0.1/hook")
            before = (await store.deliveries.read_notices(0, 100))[-1].offset
            assert store.deliveries.may_have_notices(before) is is_shared
            await store.finish(told, Fact.SUCCEEDED, maker.clock.now())
            assert store.deliveries.may_have_notices(before)
