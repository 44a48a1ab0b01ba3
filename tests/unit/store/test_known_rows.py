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
from halley.predictions.queue import Lease
from halley.predictions.status import Fact
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.store.sqlite.known_rows import MOST_INPUT_BYTES, MOST_ROWS, KnownRows
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


async def fail_a_batch(store: SqliteStore, maker: Maker, lease: Lease) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("planned")

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


async def life(path: Path, step: Step, **members: object) -> tuple[list[object], list[str]]:
    """All rows behind a run with this step in the middle, and what its end asked the database."""
    maker = Maker()
    asked: list[str] = []
    async with open_sqlite(path, clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        deadline = T0 + timedelta(days=1)  # moves with the clock
        born = NewPrediction(prediction=maker.prediction(deadline_at=deadline, **members), session_id="s1")
        lease = (await store.create(born)).lease
        assert lease is not None
        await step(store, maker, lease)
        await store._writer.submit(lambda connection: connection.set_trace_callback(asked.append))
        ends = [maker.started(), maker.output("done")]
        told: list[object] = []
        for _ in range(2):  # repeating it is harmless
            try:
                told.append(await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=ends))
            except HalleyError as error:
                told.append(repr(error))
        await store._writer.submit(lambda connection: connection.set_trace_callback(None))
    reading = sqlite3.connect(path)
    rows = [
        reading.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in ("predictions", "queue", "events", "models")
    ]
    reading.close()
    return [told, *rows], asked


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("size", [0, MOST_INPUT_BYTES + 1])
async def test_it_ends_as_a_row_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    text = b'{"text":"%b"}' % (b"x" * size)
    known, _ = await life(tmp_path / "known.db", STEPS[name], input=text)
    monkeypatch.setattr(KnownRows, "keep", lambda *_: None)
    read, _ = await life(tmp_path / "read.db", STEPS[name], input=text)
    assert known == read


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


async def test_a_lifecycle_takes_one_statement(tmp_path: Path) -> None:
    """Beside those that a whole batch shares: its begin, its commit, a look at the clock, the models' counts, and what
    inserts or deletes the rows of all.
    """
    maker, asked, many = Maker(), [], 50
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        await store._writer.submit(lambda connection: connection.set_trace_callback(asked.append))
        news = [NewPrediction(prediction=maker.prediction(), session_id="s1") for _ in range(many)]
        leases = [made.lease for made in await asyncio.gather(*[store.create(new) for new in news])]
        ends = [maker.started(), maker.output("done")]
        at = maker.clock.now()
        await asyncio.gather(
            *[store.finish(lease, Fact.SUCCEEDED, at, events=ends) for lease in leases if lease is not None]
        )
        await store._writer.submit(lambda connection: connection.set_trace_callback(None))
    batches = asked.count("COMMIT")
    assert len(asked) <= many + 20 * batches + 2
    assert asked.count("BEGIN IMMEDIATE") <= batches + 1
