"""A wall clock that is set under the SQLite store: several processes, refused transactions, and what is remembered."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from halley.errors import HalleyError
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.stores.maker import LEASE_SECONDS, Maker, on_duty, row_of

pytestmark = pytest.mark.anyio

DAY = 86_400.0


async def moves_of(store: SqliteStore) -> list[float]:
    statement = 'SELECT "by" / 1e6 FROM clock_moves ORDER BY number'
    rows = await store._writer.submit(lambda connection: connection.execute(statement).fetchall())
    return [by for (by,) in rows]


async def deadline_of(store: SqliteStore, prediction_id: str) -> datetime:
    deadline_at = (await row_of(store, prediction_id)).deadline_at
    assert deadline_at is not None
    return deadline_at


async def test_of_several_processes_one_moves_the_rows(tmp_path: Path) -> None:
    maker, chance = Maker(), random.Random(5)
    path = tmp_path / "halley.db"
    async with (
        open_sqlite(path, clock=maker.clock, is_shared=True) as one,
        open_sqlite(path, clock=maker.clock, is_shared=True) as two,
    ):
        made = (await one.create(maker.new(deadline_at=maker.clock.now() + timedelta(days=9)))).prediction
        left = timedelta(days=9, milliseconds=1)
        began = maker.clock.elapsed()
        for number in range(200):
            if chance.random() < 0.3:
                maker.clock.jump(chance.choice([DAY, -DAY, 5.0, -5.0, 1.0]))
            if chance.random() < 0.5:
                maker.clock.advance(chance.choice([0.1, 1.0, 60.0]))
            stores = chance.choice([[one], [two], [one, two], [two, one]])
            for store in stores:
                await store.open_session(f"s{number}", maker.clock.now(), LEASE_SECONDS)
            passed = timedelta(seconds=maker.clock.elapsed() - began)
            distance = await deadline_of(one, made.id) - maker.clock.now()
            # changes of less than 2 s may add up between the looks of a process, and are not followed
            assert abs((distance - (left - passed)).total_seconds()) < 120, number
        assert len(await moves_of(one)) == 20


@pytest.mark.parametrize("by", [DAY, -DAY])
@pytest.mark.parametrize("first", [0, 1])
async def test_a_process_that_looks_long_after_another_one_moves_nothing_again(
    tmp_path: Path, by: float, first: int
) -> None:
    maker, path = Maker(), tmp_path / "halley.db"
    async with (
        open_sqlite(path, clock=maker.clock, is_shared=True) as one,
        open_sqlite(path, clock=maker.clock, is_shared=True) as two,
    ):
        stores = [one, two]
        made = (await one.create(maker.new(deadline_at=maker.clock.now() + timedelta(seconds=300)))).prediction
        for _ in range(3):
            maker.clock.jump(by)
            await stores[first].open_session("a", maker.clock.now(), LEASE_SECONDS)
            maker.clock.advance(60)
            await stores[1 - first].open_session("b", maker.clock.now(), LEASE_SECONDS)
        assert await deadline_of(one, made.id) == (made.deadline_at or maker.clock.now()) + timedelta(seconds=3 * by)
        assert await moves_of(two) == [by, by, by]


async def test_a_transaction_that_failed_leaves_the_move_to_the_next_one(tmp_path: Path) -> None:
    fail = False

    def failpoint(name: str) -> None:
        if fail and name == "before_commit":
            raise HalleyError("planned")

    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock, failpoint=failpoint) as store:
        made = (await store.create(maker.new(deadline_at=maker.clock.now() + timedelta(seconds=300)))).prediction
        maker.clock.jump(DAY)
        fail = True
        for _ in range(3):
            maker.clock.advance(7)
            with pytest.raises(HalleyError, match="planned"):
                await store.open_session("a", maker.clock.now(), LEASE_SECONDS)
        fail = False
        assert await store.expire(await on_duty(store), maker.clock.now(), 10 * DAY) == []
        assert await deadline_of(store, made.id) == (made.deadline_at or maker.clock.now()) + timedelta(seconds=DAY)
        assert await moves_of(store) == [DAY]


async def test_the_last_twenty_moves_are_remembered(tmp_path: Path) -> None:
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        for number in range(1, 26):
            maker.clock.advance(60)
            maker.clock.jump(number * 2.5)
            await store.open_session("a", maker.clock.now(), LEASE_SECONDS)
        assert await moves_of(store) == [number * 2.5 for number in range(6, 26)]
