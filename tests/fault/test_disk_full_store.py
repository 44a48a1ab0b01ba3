"""The disk is full: nothing acknowledged is lost, and work goes on when there is room."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from halley.errors import StorageFull
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.status import Fact, Status
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.stores.maker import LEASE_SECONDS, Maker, row_of

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

INPUT = b'{"text":"' + b"x" * 3000 + b'"}'


async def limit_pages(store: SqliteStore, more: int) -> None:
    """Let the database grow by so many pages and no further."""

    def limit(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + more}").fetchone()

    await store._writer.submit(limit)


async def create_many(store: SqliteStore, maker: Maker, count: int) -> tuple[list[Created], list[NewPrediction]]:
    """Those that were acknowledged, and those that were refused for lack of room."""
    news = [NewPrediction(prediction=maker.prediction(input=INPUT), session_id="s1") for _ in range(count)]
    outcomes = await asyncio.gather(*[store.create(new) for new in news], return_exceptions=True)
    acknowledged = [outcome for outcome in outcomes if isinstance(outcome, Created)]
    refused = [new for new, outcome in zip(news, outcomes, strict=True) if isinstance(outcome, StorageFull)]
    assert len(acknowledged) + len(refused) == count
    return acknowledged, refused


async def test_a_full_disk_refuses_new_work_and_loses_none(tmp_path: Path) -> None:
    maker, path = Maker(), tmp_path / "halley.db"
    async with open_sqlite(path) as store:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        early, refused = await create_many(store, maker, 20)
        assert refused == []
        await limit_pages(store, 10)
        late, refused = await create_many(store, maker, 50)
        acknowledged = early + late
        assert refused
        for created in acknowledged:
            assert await store.get(created.prediction.id) == created.prediction
        for new in refused:
            assert await store.get(new.prediction.id) is None

        lease = acknowledged[0].lease
        assert lease is not None
        large = [maker.started(), maker.output("y" * 100_000)]
        with pytest.raises(StorageFull):
            await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=large)
        assert (await row_of(store, lease.prediction_id)).status is Status.STARTING

        await limit_pages(store, 10_000)
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=large)
        assert finished.applied
        again, refused = await create_many(store, maker, 20)
        assert refused == []
        acknowledged += again
    async with open_sqlite(path) as store:
        for created in acknowledged:
            assert await store.get(created.prediction.id) is not None
        assert [event.seq for event in await store.read_events(lease.prediction_id)] == [1, 2, 3, 4]
        assert (await row_of(store, lease.prediction_id)).status is Status.SUCCEEDED


async def test_a_cancel_fits_on_a_disk_that_takes_no_create(tmp_path: Path) -> None:
    """Small writes go on in free space while large ones are refused, also in one batch with them."""
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        waiting = [(await store.create(maker.new())).prediction for _ in range(5)]
        await limit_pages(store, 4)
        large = maker.new(input=b'"' + b"z" * 1_000_000 + b'"')
        outcomes = await asyncio.gather(
            store.create(large),
            *[store.cancel(row.id, None, maker.clock.now()) for row in waiting],
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], StorageFull)
        for row in waiting:
            assert (await row_of(store, row.id)).status is Status.CANCELED
        assert store.broken is None
