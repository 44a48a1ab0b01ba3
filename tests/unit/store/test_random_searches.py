"""Any filter finds exactly what it describes, also across pages, while predictions are created, end and lose data."""

import random
from pathlib import Path
from typing import Any, Final

import pytest

from halley.predictions.filters import PredictionFilter
from halley.predictions.fingerprints import fingerprint
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.search import SearchPart
from halley.predictions.status import Fact, Source, Status
from halley.store.memory import MemoryStore
from halley.store.ports import Store
from halley.store.sqlite import open_sqlite
from halley.testing.stores.maker import OTHER_VERSION, VERSION, Maker

pytestmark = pytest.mark.anyio
SESSION: Final = "s1"
MODELS: Final = ("demo/a", "demo/ab", "Demo/a", "x/[a]?", "x/a*b")
PATTERNS: Final = (*MODELS, "*", "demo/*", "*/a*", "x/[a]*", "*b", "demo/?", "**a")
ERRORS: Final = (
    "out of memory: 7 GiB",
    "Out Of MEMORY: 12 GiB",
    "größe 3 İ%_",
    "a\0b",
    "",
    "no file '/tmp/x'",
    "x" * 3000,
)
PARTS: Final = ("MEMORY", "Größe", "größe", "İ", "%", "_", "\0b", "x" * 150, "absent")
KEYS: Final = ("k1", "k2", None)
TAGS: Final = ("night", "Night", "ü")


class Account:
    """Random predictions of one account among those of another, in a store."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.maker = Maker()
        self.chance = random.Random(seed)
        self.tags: dict[str, tuple[str, ...]] = {}
        self.touched: set[str] = set()

    async def create(self) -> None:
        """A prediction that waits, runs, or has ended in some way."""
        pick = self.chance
        version = pick.choice((VERSION, OTHER_VERSION))
        row = self.maker.prediction(
            pick.choice(("anna", "anna", "anna", "bert")),
            version=version,
            model=pick.choice(MODELS),
            key_id=pick.choice(KEYS),
            provider=pick.choice(("local", "elsewhere")),
            source=pick.choice((Source.API, Source.API, Source.WEB)),
        )
        tags = tuple(pick.sample(TAGS, pick.choice((0, 0, 1, 2))))
        session = SESSION if pick.random() < 0.7 else None
        made = await self.store.create(NewPrediction(prediction=row, tags=tags, session_id=session))
        if row.account_id == "anna":
            self.tags[row.id] = tags
        if made.lease is None:
            return
        if pick.random() < 0.1:
            return
        await self.store.append_events(made.lease, [self.maker.started()])
        if pick.random() < 0.8:
            error = pick.choice((None, *ERRORS))
            fact = Fact.SUCCEEDED if error is None else Fact.FAILED
            await self.store.finish(made.lease, fact, self.maker.clock.now(), error=error)

    async def change(self) -> None:
        """Something that happens between two pages."""
        pick = self.chance
        await self.create()
        one = pick.choice(list(self.tags))
        self.touched.add(one)
        if pick.random() < 0.5:
            await self.store.cancel(one, "anna", self.maker.clock.now())
        else:
            await self.store.remove_data([one], self.maker.clock.now())

    async def fitting(self, wanted: PredictionFilter, source: Source | None) -> list[str]:
        """What fits now, the newest first, without the store's own search."""
        rows = [await self.store.get(one) for one in sorted(self.tags, reverse=True)]
        return [
            row.id
            for row in rows
            if row is not None and source in (None, row.source) and wanted.matches(row, self.tags[row.id])
        ]

    def filter(self, rows: list[Prediction]) -> PredictionFilter:
        """Any combination of members, most of them with values that occur."""
        pick = self.chance
        row, times = pick.choice(rows), sorted(pick.choice(rows).created_at for _ in range(2))
        failed = [one for one in rows if one.error]
        of_group = pick.choice(failed) if failed else row
        members: dict[str, Any] = {
            "statuses": frozenset(pick.sample(list(Status), pick.choice((1, 1, 2, 3)))),
            "model": pick.choice(PATTERNS),
            "key": row.key_id,
            "provider": row.provider,
            "error": pick.choice(PARTS),
            "tag": pick.choice(TAGS),
            "group": fingerprint(of_group.model, of_group.error),
            "created_after": times[0],
            "created_before": times[1],
        }
        chosen = {name: value for name, value in members.items() if pick.random() < 0.3}
        return PredictionFilter(**chosen)

    async def pages(
        self, wanted: PredictionFilter, source: Source | None, *, backwards: bool, changing: bool
    ) -> list[str]:
        """The ids of all pages, the newest first."""
        pick, found = self.chance, list[str]()
        start: str | None = "0" * 26 if backwards else None
        for _ in range(400):
            part = SearchPart(
                limit=pick.choice((1, 3, 50)),
                most_rows=pick.choice((1, 4, 1000)),
                older_than=None if backwards else start,
                newer_than=start if backwards else None,
            )
            page = await self.store.search("anna", wanted, part, source=source)
            ids = [item.id for item in page.items]
            found = ids + found if backwards else found + ids
            if not (page.has_newer if backwards else page.has_older):
                return found
            start = page.resume or ids[0 if backwards else -1]
            if changing and pick.random() < 0.3:
                await self.change()
        raise AssertionError("the pages have no end")


async def _filled(store: Store, seed: int, count: int = 60) -> Account:
    account = Account(store, seed)
    await store.open_session(SESSION, account.maker.clock.now(), 1e6)
    for _ in range(count):
        await account.create()
    return account


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_any_filter_finds_what_it_describes(tmp_path: Path, kind: str) -> None:
    async with open_sqlite(tmp_path / "halley.db") as sqlite:
        store: Store = MemoryStore() if kind == "memory" else sqlite
        account = await _filled(store, 3)
        rows = [row for one in account.tags if (row := await store.get(one)) is not None]
        for _ in range(60):
            wanted, source = account.filter(rows), account.chance.choice((None, None, Source.WEB))
            expected = await account.fitting(wanted, source)
            for backwards in (False, True):
                assert await account.pages(wanted, source, backwards=backwards, changing=False) == expected, wanted
            if source is None:
                found = await store.search_ids("anna", wanted, SearchPart(limit=1000))
                assert list(found.ids) == expected, wanted


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_changes_meanwhile_takes_nothing_away(tmp_path: Path, seed: int) -> None:
    async with open_sqlite(tmp_path / "halley.db") as store:
        account = await _filled(store, seed)
        for number in range(30):
            rows = [row for one in account.tags if (row := await store.get(one)) is not None]
            wanted, backwards = account.filter(rows), number % 2 == 0
            account.touched.clear()
            before = await account.fitting(wanted, None)
            found = await account.pages(wanted, None, backwards=backwards, changing=True)
            after = await account.fitting(wanted, None)
            assert found == sorted(set(found), reverse=True), "an order, and nothing twice"
            stayed = [one for one in before if one in after and one not in account.touched]
            assert set(stayed) <= set(found) <= {*before, *after, *account.touched}, wanted
