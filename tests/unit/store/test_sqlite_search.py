"""A search takes as many steps with many stored predictions as with few."""

import sqlite3
from asyncio import create_task, gather, sleep
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.ids import FIRST_ID, LAST_ID, first_id_at
from halley.models.catalog import Catalog
from halley.predictions.filters import PredictionFilter, read_filter
from halley.predictions.key_usage import KeyUsages
from halley.predictions.search import FoundRuns, SearchPart
from halley.predictions.status import Fact
from halley.store.sqlite import SqliteStore, files, index_scan, open_sqlite, repeats, retention, search
from halley.store.sqlite.index_scan import IndexScan
from halley.testing.clock import T0
from halley.testing.stores.maker import Maker, claim_one

pytestmark = pytest.mark.anyio

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
CURSOR = f"{first_id_at(T0)[:16]}{500:010d}"
DEEP, BACK = (
    SearchPart(limit=20, most_rows=200, older_than=CURSOR),
    SearchPart(limit=20, most_rows=200, newer_than=CURSOR),
)
SINCE = PredictionFilter(created_after=T0, provider="x")
BEFORE = PredictionFilter(created_before=T0, provider="x")
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
    "failures of a time": lambda store: store.failures("anna", SINCE, 100),
    "of a time": lambda store: store.search("anna", SINCE, PART),
    "of a time, deep": lambda store: store.search("anna", BEFORE, DEEP),
    "of a time, back": lambda store: store.search("anna", SINCE, BACK),
    "a page": lambda store: store.page("anna", limit=20, older_than=CURSOR, created_before=T0),
    "a page back": lambda store: store.page("anna", limit=20, newer_than=CURSOR, created_after=EPOCH),
    "equals": lambda store: store.find_equal(Maker().prediction(), EPOCH, T0),
    "groups of data": lambda store: store.data_groups(),
    "files": lambda store: store.files.list("anna", CURSOR, 20),
    "deliveries": lambda store: store.deliveries.page("anna", limit=20, before=CURSOR),
}


QUEUE = (
    "INSERT INTO queue (prediction_id, version, account_id, priority, session_id, fence, attempt, ready_at)"
    " SELECT id, 'v', ?1, 0, NULL, 0, 0, 0 FROM predictions"
)
FILES = (
    "INSERT OR IGNORE INTO files (id, account_id, name, content_type, size_bytes, sha256, created_at, expires_at)"
    " SELECT id, account_id, 'a', 'text/plain', 1, 'a', 1, 1 FROM predictions"
)
DELIVERIES = (
    "INSERT OR IGNORE INTO webhook_deliveries (id, account_id, prediction_id, message_id, event, attempt, url, headers,"
    " body_sha256, body_bytes, started_at, outcome)"
    " SELECT id, account_id, id, 'm', 'completed', 1, '', '{}', '', 1, 1, 'delivered' FROM predictions"
)
ALL_FIT = PredictionFilter()
NONE_FITS = read_filter({"provider": "x"})
LIVE = read_filter({"status": "starting"})


def _give(connection: sqlite3.Connection, account_id: str, most: int) -> None:
    connection.execute("UPDATE predictions SET account_id = ? WHERE number <= ?", (account_id, most))


def _wait(connection: sqlite3.Connection, account_id: str) -> None:
    connection.execute(QUEUE, (account_id,))


def _add(connection: sqlite3.Connection, first: int, last: int) -> None:
    connection.execute(ROW, (first, last, first_id_at(T0)[:16]))


def _add_models(connection: sqlite3.Connection, first: int, last: int) -> None:
    rows = [(str(number), number) for number in range(first, last + 1)]
    connection.executemany(
        "INSERT INTO models (owner, name, visibility, is_official, created_at) VALUES ('demo', ?, 'public', 0, ?)", rows
    )


def _add_others(connection: sqlite3.Connection) -> None:
    connection.execute(FILES)
    connection.execute(DELIVERIES)


def _look_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each step of a search look at so many rows."""
    monkeypatch.setattr(index_scan, "_FIRST_STEP", rows)
    monkeypatch.setattr(search, "_step_rows", lambda _: rows)


class Turns:
    """Notes which account used the reading connection, and the steps of SQLite's machine of each use, in hundreds."""

    def __init__(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.steps: list[int] = []
        self._store = store
        monkeypatch.setattr(store._reads, "_on_one_snapshot", self._noted(store._reads._on_one_snapshot))

    async def search(self, name: str, wanted: PredictionFilter = NONE_FITS, part: SearchPart | None = None) -> None:
        await self._store.search(name, wanted, part or SearchPart(limit=20))

    def _noted(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def noted(what: Callable[..., Any], args: tuple[Any, ...]) -> Any:
            scan = next((one for one in args if isinstance(one, IndexScan) and not one._query.own), None)
            self.names.append("another" if scan is None else scan._query.bound_values[0])
            self.steps.append(0)
            self._store._reads._other.set_progress_handler(self._step, 100)
            return read(what, args)

        return noted

    def _step(self) -> int:
        self.steps[-1] += 1
        return 0


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


async def test_the_steps_do_not_grow_with_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "EQUALS_LOOKED_AT", 100)
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, FEW)
        await store._writer.submit(_add_others)
        few = {name: await _steps(store, ask) for name, ask in QUESTIONS.items()}
        await store._writer.submit(_add, FEW + 1, MANY)
        await store._writer.submit(_add_others)
        many = {name: await _steps(store, ask) for name, ask in QUESTIONS.items()}
    assert many == few


async def test_a_stranger_finds_nothing(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, 9)
        for members in ({}, {"status": "failed"}, {"status": "starting"}, {"tag": "x"}):
            assert (await store.search("bert", read_filter(members), PART)).items == ()
        assert (await store.failures("bert", read_filter({}), 9)).items == ()
        assert await store.newest_runs("bert", None, 9) == FoundRuns(items=(), is_more=False)


async def test_others_wait_for_one_step_of_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, MANY)
        turns = Turns(store, monkeypatch)
        searches = [create_task(turns.search("anna", read_filter({"error": "absent"}))) for _ in range(10)]
        while len(turns.names) < 5:
            await sleep(0)
        before = len(turns.names)
        await store.page("bert", limit=5)
        assert turns.names[before:].index("another") <= 1
        assert not any(search.done() for search in searches)
        await gather(*searches)
        assert max(turns.steps) < 150


async def test_searches_of_accounts_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, MANY)
        await store._writer.submit(_give, "bert", MANY // 2)
        turns = Turns(store, monkeypatch)
        many = [create_task(turns.search("anna")) for _ in range(20)]
        while len(turns.names) < 3:
            await sleep(0)
        before = len(turns.names)
        await turns.search("bert")
        names = turns.names[before:]
        assert names.count("bert") >= 2
        assert names.count("anna") <= 2 * names.count("bert") + 1
        await gather(*many)


async def test_the_queue_is_scanned_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, MANY)
        await store._writer.submit(_wait, "bert")
        turns = Turns(store, monkeypatch)
        assert (await store.search("anna", LIVE, SearchPart(limit=20))).resume is None
        assert (await store.search("bert", NONE_FITS, SearchPart(limit=20))).items == ()
        assert (await store.load("anna", None)).waiting == 0
        assert (await store.load("bert", None)).waiting == MANY
        assert (await store.load("bert", "demo/*")).waiting == MANY
        assert max(turns.steps) < 800


async def test_who_closes_its_side_at_once_gets_past_the_entries_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_at_once(2, monkeypatch)
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        own = (await store.create(maker.new("anna"))).prediction
        for _ in range(9):
            await store.create(maker.new("bert"))
        page = await store.search("anna", LIVE, SearchPart(limit=2, is_over=lambda: True))
        assert ([row.id for row in page.items], page.resume) == ([own.id], None)


async def test_an_end_in_the_queue_is_a_prediction_of_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_at_once(2, monkeypatch)
    maker, own, ends = Maker(), list[str](), list[str]()
    async with open_sqlite(tmp_path / "halley.db") as store:
        for account_id in ("bert", "anna", "bert") * 6:
            made = (await store.create(maker.new(account_id))).prediction
            own += [made.id] * (account_id == "anna")
        wanted = read_filter({"status": "starting", "provider": "x"})
        for _ in own:
            part = SearchPart(limit=2, most_rows=1, older_than=ends[-1] if ends else None)
            end = (await store.search("anna", wanted, part)).resume
            ends += [] if end is None else [end]
    assert ends == own[:0:-1]  # after the oldest one of the account there is nothing more


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_page_shows_what_fits_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    _look_at_once(1, monkeypatch)
    maker, gone = Maker(), list[str]()
    start: dict[str, str] = {"newer_than": FIRST_ID} if backwards else {"older_than": LAST_ID}
    async with open_sqlite(tmp_path / "halley.db") as store:
        made = [(await store.create(maker.new(input=b'"%b"' % (b"x" * 500)))).prediction.id for _ in range(5)]
        scanned = made if backwards else made[::-1]
        in_turn = store._reads.in_turn

        async def turn(account_id: str, step: Any, scan: IndexScan, finish: Any) -> Any:
            if gone and any(row[0] == gone[0] for row in scan.found):
                await store.cancel(gone.pop(), "anna", maker.clock.now())
            return await in_turn(account_id, step, scan, finish)

        async def page(**limits: int) -> tuple[list[str], bool, str | None]:
            """The ids in the order of the walk, whether there are more, and where it goes on."""
            found = await store.search("anna", LIVE, SearchPart(**start, **limits))  # type: ignore[arg-type]
            ids = [item.id for item in found.items]
            return (ids[::-1], found.has_newer, found.resume) if backwards else (ids, found.has_older, found.resume)

        monkeypatch.setattr(store._reads, "in_turn", turn)
        gone.append(scanned[1])
        assert await page(limit=2) == ([scanned[0]], True, scanned[1])
        gone.append(scanned[0])
        assert await page(limit=10, limit_bytes=1100) == ([scanned[2], scanned[3]], True, None)
        gone.append(scanned[2])
        assert await page(limit=1) == ([], True, scanned[2])
        assert await page(limit=10) == (scanned[3:], False, None)
        assert not gone


async def test_a_page_is_as_long_as_it_is_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _look_at_once(1, monkeypatch)
    maker = Maker()
    async with open_sqlite(tmp_path / "halley.db") as store:
        oldest, newest = [(await store.create(maker.new())).prediction.id for _ in range(2)]
        claimed = [await claim_one(store, maker)]
        in_turn = store._reads.in_turn

        async def turn(account_id: str, step: Any, scan: IndexScan, finish: Any) -> Any:
            if claimed and scan.found:
                events = [maker.started(), maker.output("x" * 5000)]
                await store.finish(claimed.pop().lease, Fact.SUCCEEDED, maker.clock.now(), events=events)
            return await in_turn(account_id, step, scan, finish)

        monkeypatch.setattr(store._reads, "in_turn", turn)
        part = SearchPart(limit=10, limit_bytes=1000, newer_than=FIRST_ID)
        page = await store.search("anna", PredictionFilter(), part)
        assert ([item.id for item in page.items], page.has_newer, page.resume) == ([oldest], True, None)
        page = await store.search("anna", PredictionFilter(), msgspec.structs.replace(part, newer_than=oldest))
        assert ([item.id for item in page.items], page.has_newer) == ([newest], False)


async def test_a_search_ends_when_nobody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, MANY)
        turns = Turns(store, monkeypatch)
        part = SearchPart(limit=20, is_over=lambda: len(turns.names) >= 2)
        page = await store.search("anna", NONE_FITS, part)
        assert len(turns.names) == 3  # the last one looks at nothing
        assert page.has_older
        assert page.resume is not None


async def test_who_closes_its_side_at_once_gets_to_the_end_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_scan, "_FIRST_STEP", 3)
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, 10)
        resume: str | None = None
        found: list[str] = []
        for _ in range(5):
            part = SearchPart(limit=20, older_than=resume, is_over=lambda: True)
            page = await store.search_ids("anna", ALL_FIT, part)
            found += page.ids
            if (resume := page.resume) is None:
                break
        assert resume is None
        assert len(found) == 10


async def test_runs_of_a_key_that_were_not_looked_at_are_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 5)
    async with open_sqlite(tmp_path / "halley.db") as store:
        await store._writer.submit(_add, 1, 6)
        usage = await KeyUsages(store).of_key("anna", "unused")
        assert (usage.by_status, usage.is_more) == ({}, True)
        monkeypatch.setattr(search, "MOST_LOOKED_AT", 6)
        assert not (await KeyUsages(store).of_key("anna", "unused")).is_more


async def test_a_list_of_models_takes_no_longer_in_the_loop_with_many(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        steps: list[int] = []
        for first, last in ((1, 10), (11, 500)):
            await store._writer.submit(_add_models, first, last)
            count = 0

            def step() -> int:
                nonlocal count
                count += 1
                return 0

            store._reads._here.set_progress_handler(step, 1)
            ages = await Catalog(store).ages(of_creation=True)
            await store.get_model(*ages[0].full_name.split("/"))
            store._reads._here.set_progress_handler(None, 1)
            steps.append(count)
        assert [one.full_name for one in ages[:2]] == ["demo/500", "demo/499"]
        assert steps[0] == steps[1]


async def test_others_read_between_the_parts_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_REFERENCES_AT_ONCE", 3)
    monkeypatch.setattr(files, "_BLOBS_AT_ONCE", 3)
    async with open_sqlite(tmp_path / "halley.db") as store:
        owners = [f"{number:026d}" for number in range(10)]
        for number, owner in enumerate(owners):
            for name in ("a", "b"):
                await store.add_reference(f"{number:064d}", 1, "file", owner, name)
        turns = Turns(store, monkeypatch)
        assert await store.stray_owners("file", T0, None) == owners
        assert await store.stray_owners("file", T0, 4) == owners[:4]
        assert len(turns.names) > 6
        for owner in owners[2:]:
            await store.drop_references("file", owner)
        turns.names.clear()
        assert await store.unreferenced(99) == [f"{number:064d}" for number in range(2, 10)]
        assert len(turns.names) == 4
        assert await store.unreferenced(2, f"{4:064d}") == [f"{5:064d}", f"{6:064d}"]
