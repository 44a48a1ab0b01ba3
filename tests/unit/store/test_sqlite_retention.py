"""What only the SQLite store promises about removal: room that is used again, nothing to read, searches by index."""

from pathlib import Path

import pytest

from halley.predictions.ports import NewPrediction
from halley.predictions.status import Fact
from halley.store.sqlite import SqliteStore, open_sqlite, retention
from halley.testing.stores.maker import Maker

pytestmark = pytest.mark.anyio
LIVES = 200
SECRET = b"a secret of 24 letters, "
SMALL, MIDDLE, LARGE = 100, 2_000, 20_000  # many of them in a page of the file, one, and one in many pages


async def live(store: SqliteStore, maker: Maker, size: int) -> str:
    """A prediction that is over, whose input, output and logs have this size each."""
    text = SECRET.decode() * (size // len(SECRET))
    new = maker.prediction(input=b'{"text":"%b"}' % text.encode())
    lease = (await store.create(NewPrediction(prediction=new, session_id="s"))).lease
    assert lease is not None
    said = [maker.started(), maker.said(text), maker.output(text)]
    await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=said)
    return new.id


async def live_and_go(store: SqliteStore, maker: Maker, size: int) -> None:
    lives = [await live(store, maker, size) for _ in range(LIVES)]
    for start in range(0, LIVES, 20):
        removed = await store.remove_data(lives[start : start + 20], maker.clock.now())
        assert len(removed.prediction_ids) == 20


def pages(store: SqliteStore) -> tuple[int, int]:
    """How large the file is, and how much of it is free, in pages."""
    return store._reads.one("PRAGMA page_count")[0], store._reads.one("PRAGMA freelist_count")[0]


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE])
async def test_the_rest_of_a_removed_prediction_is_small_and_its_space_is_reused(tmp_path: Path, size: int) -> None:
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store.open_session("s", maker.clock.now(), 1e9)
        page_bytes = store._reads.one("PRAGMA page_size")[0]
        total, free = pages(store)
        before = total - free
        await live_and_go(store, maker, size)
        total, free = pages(store)
        assert (total - free - before) * page_bytes / LIVES < 1500
        await live_and_go(store, maker, size)
        assert pages(store)[0] - total < before + LIVES * 1500 / page_bytes


@pytest.mark.parametrize("size", [MIDDLE, LARGE])
async def test_what_was_removed_cannot_be_read_in_the_file(tmp_path: Path, size: int) -> None:
    maker, path = Maker(), tmp_path / "halley.db"
    async with open_sqlite(path) as store:
        await store.open_session("s", maker.clock.now(), 1e9)
        kept = await live(store, maker, size)
        await live_and_go(store, maker, size)
    assert SECRET in path.read_bytes()
    async with open_sqlite(path) as store:
        await store.remove_data([kept], maker.clock.now())
    assert SECRET not in path.read_bytes()


async def test_what_is_due_is_found_by_an_index(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        statements = [*zip(retention._NEXT_GROUP, (3, 2, 1), strict=True), (retention._DUE, 5)]
        for statement, values in statements:
            plan = store._reads.all(f"EXPLAIN QUERY PLAN {statement}", *[""] * values)
            steps = [row[3] for row in plan]
            assert "predictions_with_data" in steps[0], steps
            assert not any("TEMP B-TREE" in step or step.startswith("SCAN ") for step in steps), steps
