"""A page holds the same rows whether they are kept in memory or read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from halley.predictions.filters import PredictionFilter
from halley.predictions.ports import Page
from halley.predictions.search import SearchPart
from halley.predictions.status import Fact
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.stores.maker import Maker, running

pytestmark = pytest.mark.anyio


async def pages(store: SqliteStore, ids: list[str]) -> list[Page]:
    wanted: list[dict[str, Any]] = [
        {"limit": 100},
        {"limit": 3},
        {"limit": 3, "older_than": ids[6]},
        {"limit": 3, "newer_than": ids[2]},
        {"limit": 100, "limit_bytes": 300},
    ]
    found = [await store.page("anna", **query) for query in wanted]
    return [replace(page, items=tuple(replace(row, logs="") for row in page.items)) for page in found]


async def test_kept_rows_make_the_same_page_as_rows_that_are_read(tmp_path: Path) -> None:
    maker, ids = Maker(), []
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store.open_session("s1", maker.clock.now(), 1e6)
        for number in range(8):
            lease = await running(store, maker)
            ids.append(lease.prediction_id)
            if number % 3:  # the others run on
                said = [maker.output("o" * number), maker.said("logs\n"), maker.metric("m", number)]
                await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=said, predict_time=0.5)
        await store.create(maker.new("bert"))
        await store.note_repeat(ids[1], maker.clock.now(), "retry_counter")
        kept = await pages(store, ids)
        assert sum(store._recent.get(one) is not None for one in ids) == 5
        for one in ids:
            store._recent.forget(one)
        assert await pages(store, ids) == kept
        assert [row.id for row in kept[0].items] == ids[::-1]
        assert kept[0].items[6].repeated_creates == 1


async def test_what_is_kept_is_not_read(tmp_path: Path) -> None:
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        made = (await store.create(maker.new())).prediction
        canceled = await store.cancel(made.id, "anna", maker.clock.now())
        assert canceled is not None
        row = await store.note_repeat(made.id, maker.clock.now() + timedelta(seconds=1), "retry_counter")
        (shown,) = (await store.page("anna", limit=10)).items
        assert shown is row


async def test_times_at_the_ends_of_the_calendar_leave_nothing_out(tmp_path: Path) -> None:
    maker = Maker()
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store.create(maker.new("anna"))
        found = await store.page("anna", limit=10, created_after=first, created_before=last)
        searched = await store.search(
            "anna", PredictionFilter(created_after=first, created_before=last, model="*"), SearchPart(limit=10)
        )
    assert (len(found.items), len(searched.items)) == (1, 1)
