"""The promises of `predictions.search.SearchStore`."""

from datetime import timedelta
from typing import Final

import msgspec
import pytest

from halley.predictions.filters import PredictionFilter, read_filter
from halley.predictions.fingerprints import fingerprint
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.search import FoundIds, FoundRuns, Load, SearchPart
from halley.predictions.status import Fact, Source, Status
from halley.store.ports import Store
from halley.testing.stores.maker import LEASE_SECONDS, OTHER_VERSION, Maker, StoreSuite, claim_one

SESSION = "s1"
MEMBERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"status": "failed"},
    {"status": "succeeded,failed"},
    {"status": "starting"},
    {"status": "processing,starting"},
    {"status": "canceled"},
    {"model": "demo/odd"},
    {"model": "demo/o*"},
    {"model": "team/[x]?"},
    {"model": "team/[x]?*"},
    {"model": "demo/?dd*"},
    {"provider": "elsewhere"},
    {"error": "out of MEMORY"},
    {"error": "out of memory", "status": "succeeded"},
    {"error": "gib", "model": "demo/even"},
    {"tag": "none"},
    {"group": fingerprint("demo/odd", "CUDA out of memory: 7 GiB")},
)
ENDS = (None, "CUDA out of memory: 7 GiB", "CUDA Out Of Memory: 12 GiB", "no such file '/tmp/a'", None)


async def _ended(store: Store, maker: Maker, error: str | None, **members: object) -> Prediction:
    """A prediction that ran: it failed with this error, or succeeded."""
    await store.open_session(SESSION, maker.clock.now(), LEASE_SECONDS)
    created = await store.create(
        msgspec.structs.replace(maker.new(**members), session_id=SESSION)  # type: ignore[arg-type]
    )
    assert created.lease is not None
    fact = Fact.SUCCEEDED if error is None else Fact.FAILED
    events = [maker.started()]
    return (await store.finish(created.lease, fact, maker.clock.now(), events=events, error=error)).prediction


async def _all_pages(store: Store, wanted: PredictionFilter, part: SearchPart) -> list[str]:
    """The ids of all pages, newest first; each page ends in the given limits."""
    found: list[str] = []
    for _ in range(100):
        page = await store.search("anna", wanted, part)
        assert len(page.items) <= part.limit
        found += [item.id for item in page.items]
        if not page.has_older:
            return found
        part = msgspec.structs.replace(part, older_than=page.resume or page.items[-1].id)
    raise AssertionError("the pages have no end")


@pytest.mark.anyio
class SearchContract(StoreSuite):
    """What every implementation of `SearchStore` must do."""

    async def filled(self, store: Store, maker: Maker) -> list[Prediction]:
        """Predictions of two models that have ended, one that runs and two that wait; the newest first."""
        rows = [
            await _ended(store, maker, error, model=f"demo/{'even' if number % 2 == 0 else 'odd'}", key_id=f"k{number}")
            for number, error in enumerate(ENDS * 2)
        ]
        rows.append((await store.create(maker.new(provider="elsewhere"))).prediction)
        await store.append_events((await claim_one(store, maker)).lease, [maker.started()])
        await store.create(maker.new("bert"))
        for other in (maker.prediction(source=Source.WEB), maker.prediction(model="team/[x]?")):
            new = NewPrediction(prediction=msgspec.structs.replace(other, version=OTHER_VERSION))
            rows.append((await store.create(new)).prediction)
        return [row for row in [await store.get(one.id) for one in rows[::-1]] if row is not None]

    async def test_it_finds_what_fits(self, store: Store, maker: Maker) -> None:
        rows = await self.filled(store, maker)
        for members in MEMBERS:
            wanted = read_filter(members)
            expected = [row.id for row in rows if wanted.matches(row)]
            for limit, most_rows in ((100, 1000), (2, 1000), (2, 3), (3, 1), (1, 100)):
                found = await _all_pages(store, wanted, SearchPart(limit=limit, most_rows=most_rows))
                assert found == expected, (members, limit, most_rows)
            ids = await store.search_ids("anna", wanted, SearchPart(limit=100))
            assert ids == FoundIds(ids=tuple(expected))

    async def test_a_key_and_times_limit_it(self, store: Store, maker: Maker) -> None:
        rows = await self.filled(store, maker)
        by_key = PredictionFilter(key="k3")
        assert await _all_pages(store, by_key, SearchPart(limit=5)) == [row.id for row in rows if row.key_id == "k3"]
        between = PredictionFilter(created_after=rows[6].created_at, created_before=rows[3].created_at)
        assert await _all_pages(store, between, SearchPart(limit=5)) == [row.id for row in rows[4:7]]
        failed = msgspec.structs.replace(between, statuses=frozenset({Status.FAILED}))
        assert await _all_pages(store, failed, SearchPart(limit=5)) == [row.id for row in rows[4:7] if row.error]
        page = await store.search("anna", PredictionFilter(), SearchPart(limit=9), source=Source.WEB)
        assert [item.source for item in page.items] == [Source.WEB]

    async def test_backwards_it_finds_the_same(self, store: Store, maker: Maker) -> None:
        rows = await self.filled(store, maker)
        wanted = read_filter({"status": "failed"})
        expected = [row.id for row in rows if wanted.matches(row)]
        for most_rows in (1, 2, 100):
            found, start, has_newer = list[str](), rows[-1].id, True
            while has_newer:
                page = await store.search("anna", wanted, SearchPart(limit=2, newer_than=start, most_rows=most_rows))
                assert page.has_older
                found = [item.id for item in page.items] + found
                has_newer = page.has_newer
                start = page.resume or (page.items[0].id if page.items else start)
            assert found == expected

    async def test_a_page_has_a_size(self, store: Store, maker: Maker) -> None:
        for size in (10, 900, 100, 900):
            await store.create(maker.new(input=b'"%b"' % (b"x" * (size - 2))))
        part = SearchPart(limit=10, limit_bytes=1000)
        page = await store.search("anna", read_filter({"status": "starting"}), part)
        assert [len(item.input) for item in page.items] == [900, 100]
        assert page.has_older
        assert len(await _all_pages(store, read_filter({"status": "starting"}), part)) == 4

    async def test_ids_come_in_parts(self, store: Store, maker: Maker) -> None:
        rows = await self.filled(store, maker)
        found = await store.search_ids("anna", PredictionFilter(), SearchPart(limit=4))
        assert found.ids == tuple(row.id for row in rows[:4])
        assert found.resume == rows[3].id
        found = await store.search_ids("anna", PredictionFilter(), SearchPart(limit=40, older_than=found.resume))
        assert found.ids == tuple(row.id for row in rows[4:])
        assert found.resume is None

    async def test_where_it_goes_on_tells_nothing_of_others(self, store: Store, maker: Maker) -> None:
        own: list[str] = []
        for _ in range(6):
            for account_id in ("bert", "anna", "bert"):
                made = (await store.create(maker.new(account_id))).prediction
                own += [made.id] * (account_id == "anna")
        wanted, ends = read_filter({"status": "starting", "provider": "x"}), list[str]()
        while True:
            part = SearchPart(limit=2, most_rows=2, older_than=ends[-1] if ends else None)
            end = (await store.search("anna", wanted, part)).resume
            if end is None:
                break
            ends.append(end)
        assert ends == sorted(ends, reverse=True)
        assert set(ends) <= set(own)

    async def test_a_tag_finds_its_predictions(self, store: Store, maker: Maker) -> None:
        news = [
            NewPrediction(prediction=maker.prediction(), tags=tags)
            for tags in (("night", "Größe"), (), ("night",), ("day", "night", "a"))
        ]
        ids = [(await store.create(new)).prediction.id for new in news]
        foreign = maker.new("bert")
        await store.create(msgspec.structs.replace(foreign, tags=("night",)))
        await store.create(news[0])  # a second create changes nothing
        for limit in (1, 10):
            found = await _all_pages(store, PredictionFilter(tag="night"), SearchPart(limit=limit, most_rows=limit))
            assert found == [ids[3], ids[2], ids[0]]
        assert await store.tags_of([*ids, maker.new_id()]) == {
            ids[0]: ("night", "Größe"),
            ids[2]: ("night",),
            ids[3]: ("day", "night", "a"),
        }
        both = PredictionFilter(tag="Größe", created_after=news[0].prediction.created_at)
        assert await _all_pages(store, both, SearchPart(limit=5)) == [ids[0]]

    async def test_the_queue_is_counted(self, store: Store, maker: Maker) -> None:
        assert await store.load("anna", None) == Load(waiting=0, running=0)
        for model in ("demo/a", "demo/b", "demo/b"):
            await store.create(maker.new(model=model))
        await store.create(maker.new("bert"))
        claimed = await claim_one(store, maker)
        assert await store.load("anna", None) == Load(waiting=2, running=1)
        assert await store.load("anna", "demo/b") == Load(waiting=2, running=0)
        assert await store.load("anna", "*/a") == Load(waiting=0, running=1)
        await store.cancel(claimed.prediction.id, None, maker.clock.now())
        assert await store.load("anna", None) == Load(waiting=2, running=0)

    async def test_the_newest_runs_have_their_times(self, store: Store, maker: Maker) -> None:
        ended = await _ended(store, maker, None, model="demo/a")
        waiting = (await store.create(maker.new(version=OTHER_VERSION, model="demo/b"))).prediction
        await store.create(maker.new("bert"))
        newest, oldest = (await store.newest_runs("anna", None, 10)).items
        assert (newest.status, newest.created_at, newest.started_at) == (Status.STARTING, waiting.created_at, None)
        assert (oldest.status, oldest.started_at, oldest.completed_at) == (
            Status.SUCCEEDED,
            ended.started_at,
            ended.completed_at,
        )
        assert await store.newest_runs("anna", "demo/a", 10) == FoundRuns(items=(oldest,), is_more=False)
        assert await store.newest_runs("anna", None, 1) == FoundRuns(items=(newest,), is_more=True)

    async def test_the_newest_runs_of_a_key(self, store: Store, maker: Maker) -> None:
        for key_id in ("k1", "k2", None, "k1"):
            await store.create(maker.new(key_id=key_id))
        first, second = (await store.newest_runs("anna", None, 10, key="k1")).items
        assert first.created_at > second.created_at
        assert (await store.newest_runs("anna", None, 1, key="k1")).items == (first,)
        for account_id, key_id in (("anna", "k3"), ("bert", "k1")):
            found = await store.newest_runs(account_id, None, 10, key=key_id)
            assert found == FoundRuns(items=(), is_more=False)

    async def test_failures_come_newest_first(self, store: Store, maker: Maker) -> None:
        rows = await self.filled(store, maker)
        failed = [row for row in rows if row.status is Status.FAILED]
        found = await store.failures("anna", PredictionFilter(), 100)
        assert found.resume is None
        assert [(one.id, one.model, one.error) for one in found.items] == [
            (row.id, row.model, row.error) for row in failed
        ]
        part = await store.failures("anna", PredictionFilter(), 2)
        assert (part.items, part.resume) == (found.items[:2], failed[1].id)
        odd = await store.failures("anna", PredictionFilter(model="demo/odd"), 100)
        assert odd.items == tuple(one for one in found.items if one.model == "demo/odd")
        none = await store.failures("anna", PredictionFilter(model="demo/none"), 2)
        assert (none.items, none.looked_at, none.resume) == ((), 2, failed[1].id)
        assert (found.looked_at, odd.looked_at) == (len(failed), len(failed))
        other = PredictionFilter(statuses=frozenset({Status.CANCELED}))
        assert (await store.failures("anna", other, 100)).items == ()
        later = failed[0].created_at + timedelta(microseconds=1)
        assert (await store.failures("anna", PredictionFilter(created_after=later), 100)).items == ()

    async def test_what_is_long_of_an_error_is_left_out(self, store: Store, maker: Maker) -> None:
        error = "é" * 5000
        row = await _ended(store, maker, error)
        (failure,) = (await store.failures("anna", PredictionFilter(), 5)).items
        assert failure.error == error[:2000]
        group = PredictionFilter(group=fingerprint(row.model, failure.error))
        assert await _all_pages(store, group, SearchPart(limit=5)) == [row.id]
