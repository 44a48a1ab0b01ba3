"""Rows that the writer knows end as rows that it reads, whatever came in between."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from halley.errors import HalleyError
from halley.predictions.ports import NewPrediction
from halley.predictions.queue import Finished, Lease, Returned
from halley.predictions.status import Fact
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.store.sqlite.known_rows import MOST_INPUT_BYTES, MOST_ROWS, MOST_WAITING, KnownRows
from halley.testing.clock import T0
from halley.testing.stores.maker import LEASE_SECONDS, VERSION, Maker, on_duty

pytestmark = pytest.mark.anyio
Step = Callable[[SqliteStore, Maker, Lease], Awaitable[object]]


async def nothing(*_: object) -> None:
    pass


async def give_back_and_claim(store: SqliteStore, maker: Maker, lease: Lease) -> None:
    await store.release(lease, maker.clock.now())
    await store.claim("s1", {VERSION: 1}, maker.clock.now())


async def submit(store: SqliteStore, _: Maker, lease: Lease) -> None:
    await store.record_intent(lease, "upstream")
    await store.record_handle(lease, "h1")


async def set_clock(store: SqliteStore, maker: Maker, _: Lease) -> None:
    maker.clock.jump(3600.0)
    await store.create(maker.new())


async def lose_session(store: SqliteStore, maker: Maker, _: Lease) -> None:
    duty = await on_duty(store)
    maker.clock.advance(LEASE_SECONDS + 1)
    await store.reap(duty, maker.clock.now(), max_attempts=2)


def break_down(*_: object) -> None:
    raise RuntimeError("planned")


async def fail_a_batch(store: SqliteStore, maker: Maker, lease: Lease) -> None:
    writes = [store.append_events(lease, [maker.said("late\n")]), store._writer.submit(break_down)]
    await writes[0]
    with suppress(RuntimeError):
        await writes[1]


STEPS: dict[str, Step] = {
    "nothing": nothing,
    "events": lambda store, maker, lease: store.append_events(lease, [maker.started(), maker.said("a\n")]),
    "shown input": lambda store, _, lease: store.show_input(lease, b'{"text":"***"}'),
    "cancel": lambda store, maker, lease: store.cancel(lease.prediction_id, None, maker.clock.now()),
    "repeat": lambda store, maker, lease: store.note_repeat(lease.prediction_id, maker.clock.now(), "retry_counter"),
    "given back": give_back_and_claim,
    "submit": submit,
    "set clock": set_clock,
    "lost session": lose_session,
    "failed batch": fail_a_batch,
}


async def life(
    path: Path, step: Step, *, only_returns: bool = False, **members: object
) -> tuple[list[object], list[str]]:
    """All rows behind a run with this step in the middle, and what its end asked the database."""
    maker = Maker()
    asked: list[str] = []
    async with open_sqlite(path, clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        deadline = None if only_returns else T0 + timedelta(days=1)  # moves with the clock
        born = NewPrediction(prediction=maker.prediction(deadline_at=deadline, **members), session_id="s1")
        lease = (await store.create(born)).lease
        assert lease is not None
        await step(store, maker, lease)
        await store._writer.submit(lambda connection: connection.set_trace_callback(asked.append))
        now = maker.clock.now()
        returned = Returned(started_at=now, at=now + timedelta(seconds=1), output=b'"done"', predict_time=0.5)
        told: list[object] = []
        for _ in range(2):  # repeating it is harmless
            try:
                if only_returns:
                    told.append(await returned_end(store, lease, returned))
                else:
                    told.append(await store.finish(lease, Fact.SUCCEEDED, now, events=returned.events()))
            except HalleyError as error:
                told.append(repr(error))
        await store._writer.submit(lambda connection: connection.set_trace_callback(None))
    return [told, *rows_of(path)], asked


async def returned_end(store: SqliteStore, lease: Lease, returned: Returned) -> Finished:
    """As `finish_returned`, awaited."""
    told: asyncio.Future[Finished | Exception] = asyncio.get_running_loop().create_future()
    store.finish_returned(lease, returned, told.set_result)
    outcome = await told
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def rows_of(path: Path) -> list[object]:
    reading = sqlite3.connect(path)
    rows: list[object] = [
        reading.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in ("predictions", "queue", "events", "models")
    ]
    reading.close()
    return rows


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("size", [0, MOST_INPUT_BYTES + 1])
@pytest.mark.parametrize("only_returns", [False, True])
async def test_it_ends_as_a_row_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int, *, only_returns: bool
) -> None:
    text = b'{"text":"%b"}' % (b"x" * size)
    known, _ = await life(tmp_path / "known.db", STEPS[name], only_returns=only_returns, input=text)
    monkeypatch.setattr(KnownRows, "keep", lambda *_: None)
    read, _ = await life(tmp_path / "read.db", STEPS[name], only_returns=only_returns, input=text)
    assert known == read


async def wait_and_run(path: Path, name: str, text: bytes) -> list[object]:
    """All rows behind a run that waited, with something else in between, and what its claim and its end told."""
    maker, told = Maker(), []
    async with open_sqlite(path, clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        first, second = maker.new(input=text), maker.new(input=text)
        await asyncio.gather(store.create(first), store.create(second))
        prediction_id = first.prediction.id
        if name == "repeat":
            await store.note_repeat(prediction_id, maker.clock.now(), "retry_counter")
        elif name == "cancel":
            await store.cancel(prediction_id, None, maker.clock.now())
        elif name == "set clock":
            maker.clock.jump(3600.0)
        elif name == "failed batch":
            with suppress(RuntimeError):
                await store._writer.submit(break_down)
        elif name == "claimed before":
            (claimed,) = await store.claim("s1", {VERSION: 1}, maker.clock.now())
            await store.append_events(claimed.lease, [maker.started(), maker.said("a\n")])
            await store.release(claimed.lease, maker.clock.now())
        claims = await store.claim("s1", {VERSION: 5}, maker.clock.now())
        told.append(claims)
        for claimed in claims:
            ends = [maker.started(), maker.output("done")]
            told.append(await store.finish(claimed.lease, Fact.SUCCEEDED, maker.clock.now(), events=ends))
        told.append(await store.waiting())
    return [told, *rows_of(path)]


@pytest.mark.parametrize("name", ["nothing", "repeat", "cancel", "set clock", "failed batch", "claimed before"])
@pytest.mark.parametrize("size", [0, MOST_INPUT_BYTES + 1])
async def test_it_is_claimed_as_a_row_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    text = b'{"text":"%b"}' % (b"x" * size)
    known = await wait_and_run(tmp_path / "known.db", name, text)
    monkeypatch.setattr(KnownRows, "keep_waiting", lambda *_: None)
    assert known == await wait_and_run(tmp_path / "read.db", name, text)


async def test_of_rows_that_wait_the_first_are_kept_until_they_are_claimed(tmp_path: Path) -> None:
    maker, more = Maker(), 3
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        news = [maker.new() for _ in range(MOST_WAITING + more)]
        await asyncio.gather(*[store.create(new) for new in news])
        ids, kept = [new.prediction.id for new in news], store._counters.known._waiting
        assert list(kept) == ids[:MOST_WAITING]
        claimed = await store.claim("s1", {VERSION: len(ids)}, maker.clock.now())
        assert [item.prediction.id for item in claimed] == ids
        assert not kept


async def test_the_end_of_a_known_row_reads_no_input(tmp_path: Path) -> None:
    _, asked = await life(tmp_path / "halley.db", nothing)
    first_end = asked[: asked.index("COMMIT")]
    assert not [text for text in first_end if text.startswith("SELECT") and "input" in text]


async def test_no_more_are_kept_than_the_limit(tmp_path: Path) -> None:
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        for _ in range(MOST_ROWS + 3):
            store.create(NewPrediction(prediction=maker.prediction(), session_id="s1"))
        await store.waiting()
        assert len(store._counters.known._rows) == MOST_ROWS


@pytest.mark.parametrize("waits", [False, True])
async def test_a_lifecycle_takes_one_statement(tmp_path: Path, waits: bool) -> None:
    """Beside those that a whole batch shares: its begin, its commit, a look at the clock, the models' counts, and what
    inserts or deletes the rows of all.
    """
    maker, asked, many = Maker(), [], 50
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        await store._writer.submit(lambda connection: connection.set_trace_callback(asked.append))
        session_id = None if waits else "s1"
        news = [NewPrediction(prediction=maker.prediction(), session_id=session_id) for _ in range(many)]
        leases = [made.lease for made in await asyncio.gather(*[store.create(new) for new in news])]
        if waits:
            leases = [claimed.lease for claimed in await store.claim("s1", {VERSION: many}, maker.clock.now())]
        assert len(leases) == many
        ends = [maker.started(), maker.output("done")]
        at = maker.clock.now()
        await asyncio.gather(
            *[store.finish(lease, Fact.SUCCEEDED, at, events=ends) for lease in leases if lease is not None]
        )
        await store._writer.submit(lambda connection: connection.set_trace_callback(None))
    batches = asked.count("COMMIT")
    assert len(asked) <= many + 20 * batches + 2
    assert asked.count("BEGIN IMMEDIATE") <= batches + 1


async def test_a_lifecycle_alone_takes_eleven_statements(tmp_path: Path) -> None:
    maker, asked = Maker(), []
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        await store._writer.submit(lambda connection: connection.set_trace_callback(asked.append))
        lease = (await store.create(NewPrediction(prediction=maker.prediction(), session_id="s1"))).lease
        assert lease is not None
        ends = [maker.started(), maker.output("done")]
        await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=ends)
        await store._writer.submit(lambda connection: connection.set_trace_callback(None))
    created = ["BEGIN", "INSERT", "INSERT", "INSERT", "UPDATE", "COMMIT"]
    ended = ["BEGIN", "UPDATE", "DELETE", "INSERT", "COMMIT"]
    assert [text.split()[0] for text in asked] == ["COMMIT", *created, *ended, "BEGIN"]
