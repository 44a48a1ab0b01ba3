"""A kill around the commit of a settlement leaves both predictions linked, or nothing of the second."""

import shutil
from pathlib import Path

import pytest

from halley.store.sqlite import open_sqlite
from halley.testing.stores.maker import VERSION, Maker
from halley.testing.stores.settlements import adopted, unknown

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
async def test_a_kill_around_the_commit_doubles_nothing(tmp_path: Path, point: str) -> None:
    maker, live, killed = Maker(), tmp_path / "live", tmp_path / "killed"
    live.mkdir()
    points: list[str] = []

    def failpoint(name: str) -> None:
        points.append(name)
        if name == point and points.count("armed"):
            shutil.copytree(live, killed, dirs_exist_ok=True)  # what a kill at this moment would leave

    async with open_sqlite(live / "halley.db", clock=maker.clock, failpoint=failpoint) as store:
        first = await unknown(store, maker)
        points.append("armed")
        settled = await store.settle(first.id, adopted(maker), "adopted")
        points.clear()
    async with open_sqlite(killed / "halley.db", clock=maker.clock) as store:
        is_stored = point == "after_commit"
        assert bool(await store.settlements([first.id])) == is_stored
        assert await store.waiting() == ({VERSION: 1} if is_stored else {})
        again = await store.settle(first.id, adopted(maker), "adopted")
        assert again.is_new != is_stored
        assert (again.settlement.linked_id == settled.settlement.linked_id) == is_stored
        assert await store.waiting() == {VERSION: 1}
