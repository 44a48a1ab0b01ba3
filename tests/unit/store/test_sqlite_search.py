"""A search takes as many steps with many stored predictions as with few."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from halley.ids import first_id_at
from halley.predictions.filters import read_filter
from halley.predictions.search import SearchPart
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.clock import T0

pytestmark = pytest.mark.anyio

FEW, MANY = 1000, 8000
ROW = (
    "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
    " INSERT INTO predictions (id, account_id, kind, status, revision, model, version, source, priority, provider,"
    " attempts, fence, created_with_wait, created_at, completed_at, last_seq, has_progress, error, input)"
    " SELECT printf('%s%010d', ?3, i), 'anna', 'prediction', iif(i % 2, 'succeeded', 'failed'), 2, 'demo/m',"
    " 'v', 'api', 0, 'local', 1, 1, 0, i, i, 1, 0, iif(i % 2, NULL, 'error ' || i), '{}' FROM n"
)
Question = Callable[[SqliteStore], Awaitable[object]]
PART = SearchPart(limit=20, most_rows=200)
QUESTIONS: dict[str, Question] = {
    "none fits": lambda store: store.search("anna", read_filter({"model": "demo/absent"}), PART),
    "few fit": lambda store: store.search("anna", read_filter({"status": "failed,aborted", "provider": "x"}), PART),
    "no error fits": lambda store: store.search("anna", read_filter({"error": "absent"}), PART),
    "no group fits": lambda store: store.search("anna", read_filter({"group": "0" * 16}), PART),
    "all fit": lambda store: store.search("anna", read_filter({"model": "demo/*"}), PART),
    "newer": lambda store: store.search(
        "anna", read_filter({"model": "x/*"}), SearchPart(limit=20, most_rows=200, newer_than="0")
    ),
    "ids": lambda store: store.search_ids("anna", read_filter({"provider": "x"}), PART),
    "runs": lambda store: store.newest_runs("anna", None, 200),
    "load": lambda store: store.load("anna", None),
    "failures": lambda store: store.failures("anna", read_filter({}), 100),
}


def _add(connection: sqlite3.Connection, first: int, last: int) -> None:
    connection.execute(ROW, (first, last, first_id_at(T0)[:16]))


async def _steps(store: SqliteStore, ask: Question) -> int:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    store._reads._other.set_progress_handler(step, 1)
    await ask(store)
    store._reads._other.set_progress_handler(None, 1)
    return steps


async def test_the_steps_do_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, FEW)
        few = {name: await _steps(store, ask) for name, ask in QUESTIONS.items()}
        await store._writer.submit(_add, FEW + 1, MANY)
        many = {name: await _steps(store, ask) for name, ask in QUESTIONS.items()}
    assert many == few


async def test_a_stranger_finds_nothing(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, 9)
        for members in ({}, {"status": "failed"}, {"status": "starting"}, {"tag": "x"}):
            assert (await store.search("bert", read_filter(members), PART)).items == ()
        assert (await store.failures("bert", read_filter({}), 9)).items == ()
        assert await store.newest_runs("bert", None, 9) == []
