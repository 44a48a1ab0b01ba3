"""The three last events of a run that only returns are one row, and every reader sees three events, as in memory."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from halley.predictions.queue import Lease
from halley.predictions.records import NewEvent
from halley.predictions.status import EventKind, Fact
from halley.store.memory import MemoryStore
from halley.store.ports import Store
from halley.store.sqlite import deliveries, open_sqlite
from halley.store.sqlite.event_rows import MOST_JOINED_BYTES
from halley.testing.stores.maker import PICTURE, Maker, leased

pytestmark = pytest.mark.anyio
HOOK = "https://example.com/hook"
KINDS_OF_ROWS = [
    [["created"], ["returned"]],
    [["created"], ["started", "output_set", "finished"]],  # two times
    [["created"], ["started", "logged", "output_set", "finished"]],
    [["created"], ["started", "output_set", "finished"]],  # for a webhook
    [["created"], ["returned"]],  # a file
    [["created"], ["started", "output_set", "finished"]],  # large
    [["created", "repeated"], ["returned"]],
    [["created"], ["started", "output_set", "finished"]],  # failed
]


async def fill(store: Store, maker: Maker) -> list[Lease]:
    """Predictions that end in different ways, some of them by one row."""
    leases = [await leased(store, maker, f"s{n}", **({"webhook": HOOK} if n == 3 else {})) for n in range(8)]
    await store.note_repeat(leases[6].prediction_id, maker.clock.now(), "retry_counter")
    for number, lease in enumerate(leases):
        start = NewEvent(kind=EventKind.STARTED, at=maker.clock.now(), data=b"")
        maker.clock.advance(0.5)
        output = maker.output("x" * MOST_JOINED_BYTES if number == 5 else number, [PICTURE] if number == 4 else [])
        events = [start, maker.said("a\n"), output] if number == 2 else [start, output]
        maker.clock.advance(1.0 if number == 1 else 0.0)
        how: dict[str, Any] = {"error": "no"} if number == 7 else {}
        fact = Fact.FAILED if how else Fact.SUCCEEDED
        await store.finish(lease, fact, maker.clock.now(), events=events, predict_time=0.25, **how)
    return leases


async def seen(store: Store, leases: list[Lease]) -> list[Any]:
    """What every reader gets, from every place on, with every limit."""
    found: list[Any] = []
    for prediction_id in [lease.prediction_id for lease in leases]:
        for after in range(7):
            for limit in range(1, 6):
                found.append(await store.read_events(prediction_id, after, limit))
                found.append(await store.read_events(prediction_id, after, limit, with_data=False))
            found.append(await store.read_events(prediction_id, after, limit_bytes=10))
    last = await store.newest_offset()
    for after in range(last + 1):
        for limit in (1, 2, 3, 100):
            found.append(await store.read_log(after, limit))
            found.append(await store.deliveries.read_account("anna", after, limit))
    return found


@pytest.mark.parametrize("span", [3, 4, 5_000])
async def test_every_reader_sees_them_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    memory_maker, maker = Maker(), Maker()
    memory = MemoryStore(clock=memory_maker.clock)
    wanted = await seen(memory, await fill(memory, memory_maker))
    async with open_sqlite(tmp_path / "halley.db", clock=maker.clock) as store:
        leases = await fill(store, maker)
        assert await seen(store, leases) == wanted
        monkeypatch.setattr(deliveries, "_SPAN", span)
        notices, position = [], 0
        while position < await store.newest_offset():
            more, position = await store.deliveries.read_account("anna", position, 2)
            notices += more
        assert notices == (await memory.deliveries.read_account("anna", 0, 1000))[0]


async def test_which_are_one_row(tmp_path: Path) -> None:
    maker, path = Maker(), tmp_path / "halley.db"
    async with open_sqlite(path, clock=maker.clock) as store:
        leases = await fill(store, maker)
    reading = sqlite3.connect(path)
    select = "SELECT kind FROM events WHERE prediction_id = ? ORDER BY seq"
    for lease, rows in zip(leases, KINDS_OF_ROWS, strict=True):
        kinds = [kind for (kind,) in reading.execute(select, (lease.prediction_id,))]
        assert kinds == [kind for some in rows for kind in some]
    reading.close()


@pytest.mark.parametrize("repeats", [0, 70])
async def test_removal_leaves_what_lasts(tmp_path: Path, repeats: int) -> None:
    memory_maker, maker = Maker(), Maker()
    memory, path = MemoryStore(clock=memory_maker.clock), tmp_path / "halley.db"
    found: list[Any] = []
    async with open_sqlite(path, clock=maker.clock) as store:
        for one, its in ((memory, memory_maker), (store, maker)):
            leases = await fill(one, its)
            for _ in range(repeats):
                await one.note_repeat(leases[0].prediction_id, its.clock.now(), "retry_counter")
            await one.remove_data([lease.prediction_id for lease in leases], its.clock.now())
            while await one.remove_events(10):
                pass
            found.append(await seen(one, leases))
    assert found[0] == found[1]
    reading = sqlite3.connect(path)
    kept = "SELECT kind FROM events WHERE kind IN ('returned', 'output_set')"
    assert reading.execute(kept).fetchall() == [("output_set",)], "that of the prediction whose webhook was not told"
    reading.close()
