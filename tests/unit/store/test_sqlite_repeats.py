"""What only the SQLite store promises about creates that come twice: durable keys, and searches that stay cheap."""

from datetime import timedelta
from pathlib import Path

import pytest

from halley.predictions.ports import NewPrediction
from halley.predictions.repeats import IdempotencyKey
from halley.store.sqlite import SqliteStore, open_sqlite, repeats
from halley.testing.stores.maker import Maker

pytestmark = pytest.mark.anyio


def under(maker: Maker, key: str) -> NewPrediction:
    prediction = maker.prediction()
    expires_at = prediction.created_at + timedelta(days=1)
    return NewPrediction(
        prediction=prediction, idempotency=IdempotencyKey(key=key, digest=b"d" * 32, expires_at=expires_at)
    )


async def found(store: SqliteStore, maker: Maker, key_id: str) -> list[str]:
    now = maker.clock.now()
    equal = await store.find_equal(maker.prediction(key_id=key_id), now - timedelta(seconds=120), now)
    return [one.id for one in equal]


async def test_keys_and_repeats_are_there_after_a_restart(tmp_path: Path) -> None:
    maker, path = Maker(), tmp_path / "halley.db"
    async with open_sqlite(path) as store:
        first = (await store.create(under(maker, "k"))).prediction
        noted = await store.note_repeat(first.id, maker.clock.now(), "retry_counter")
    async with open_sqlite(path) as store:
        again = await store.create(under(maker, "k"))
        assert again.replayed
        assert again.prediction == noted
        assert again.prediction.repeated_creates == 1


async def test_only_the_newest_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "EQUALS_LOOKED_AT", 5)
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        made = [(await store.create(maker.new(key_id=f"k{number % 2}"))).prediction.id for number in range(10)]
        await store.create(maker.new("bert", key_id="k0"))
        assert await found(store, maker, "k0") == [made[8], made[6]]
        assert await found(store, maker, "k1") == [made[9], made[7], made[5]]


async def test_the_search_walks_the_index_of_the_account(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        plan = store._reads.all(f"EXPLAIN QUERY PLAN {repeats._SELECT_EQUAL}", *[1] * 14)
    steps = [row[3] for row in plan]
    assert [step for step in steps if " predictions " in step] == [
        "SEARCH predictions USING INDEX predictions_of_account (account_id=? AND id>?)",
        "SEARCH predictions USING COVERING INDEX predictions_of_account (account_id=?)",
    ]
    assert not any("TEMP B-TREE" in step or step.startswith("SCAN ") for step in steps), steps


async def test_a_repeat_of_an_ended_prediction_is_seen_by_readers_of_the_cache(tmp_path: Path) -> None:
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        made = (await store.create(maker.new())).prediction
        await store.cancel(made.id, "anna", maker.clock.now())
        noted = await store.note_repeat(made.id, maker.clock.now(), "dropped_connection")
        assert store._recent.get(made.id) == noted
        assert await store.get(made.id) == noted
