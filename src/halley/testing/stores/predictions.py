"""The promises of `predictions.ports.PredictionStore`."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from halley.errors import Conflict, Overloaded, QueueFull
from halley.predictions.ports import Created, InputFile, NewPrediction
from halley.predictions.records import Event
from halley.predictions.status import EventKind, Fact, Kind, Source, Status, SubmitState
from halley.store.ports import Store
from halley.testing.stores.cancels import CancelContract
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    PICTURE,
    SMALL,
    VERSION,
    Maker,
    claim_one,
    kinds_of,
    leased,
    row_of,
    running,
)
from halley.testing.stores.paging import PageContract


@pytest.mark.anyio
class PredictionStoreContract(PageContract, CancelContract):
    """What every implementation of `PredictionStore` must do."""

    async def test_what_was_created_comes_back_whole(self, store: Store, maker: Maker) -> None:
        prediction = maker.prediction(
            key_id="k1",
            kind=Kind.TRAINING,
            deployment="team/fast",
            input='{"word":"Größe \\u0000"}'.encode(),
            source=Source.WEB,
            priority=-3,
            provider="upstream",
            handle="h",
            submit_state=SubmitState.INTENDED,
            created_with_wait=True,
            cancel_abandoned=True,
            webhook="https://example.com/hook",
            webhook_events_filter=("start", "completed"),
            deadline_at=maker.clock.now() + timedelta(seconds=60),
        )
        created = await store.create(NewPrediction(prediction=prediction))
        assert created.prediction == prediction
        assert created.lease is None
        assert await store.get(prediction.id) == prediction
        assert await kinds_of(store, prediction.id) == [EventKind.CREATED]

    async def test_an_empty_filter_is_not_an_absent_one(self, store: Store, maker: Maker) -> None:
        prediction = maker.prediction(webhook_events_filter=())
        await store.create(NewPrediction(prediction=prediction))
        assert (await row_of(store, prediction.id)).webhook_events_filter == ()

    async def test_a_foreign_prediction_is_an_absent_one(self, store: Store, maker: Maker) -> None:
        prediction = (await store.create(maker.new("anna"))).prediction
        assert await store.get(prediction.id, "anna") == prediction
        assert await store.get(prediction.id, "bert") is None
        assert await store.get(maker.new_id(), "anna") is None
        assert await store.get("") is None

    async def test_an_outline_is_the_row_without_what_is_large(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker, webhook="https://example.com/hook")
        for large in ("", "x" * 100_000):  # a large row is not kept in memory
            text = maker.output(large + PICTURE.ref, [PICTURE])
            events = [maker.said("hello" + large), text]
            if large:
                lease = await running(store, maker)
            row = (await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=events)).prediction
            expected = msgspec.structs.replace(row, input=b"{}", output=None, logs="")
            assert await store.outline(row.id) == expected == await store.outline(row.id, "anna")
            assert expected.files == (PICTURE,)
            assert await store.outline(row.id, "bert") is None
        assert await store.outline(maker.new_id()) is None

    async def test_a_second_create_changes_nothing(self, store: Store, maker: Maker) -> None:
        first = maker.prediction()
        await store.create(NewPrediction(prediction=first))
        second = msgspec.structs.replace(first, input=b'{"text":"other"}', priority=9)
        again = await store.create(NewPrediction(prediction=second))
        assert again.prediction == first
        assert await store.get(first.id) == first
        assert await kinds_of(store, first.id) == [EventKind.CREATED]
        assert await store.waiting() == {VERSION: 1}

    async def test_a_second_create_never_leases_again(self, store: Store, maker: Maker) -> None:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        new = NewPrediction(prediction=maker.prediction(), session_id="s1")
        assert (await store.create(new)).lease is not None
        again = await store.create(new)
        assert again.lease is None
        assert again.prediction.id == new.prediction.id

    async def test_a_second_create_sees_how_it_ended(self, store: Store, maker: Maker) -> None:
        new = maker.new()
        await store.create(new)
        await store.cancel(new.prediction.id, "anna", maker.clock.now())
        assert (await store.create(new)).prediction.status is Status.CANCELED

    async def test_a_foreign_id_is_refused(self, store: Store, maker: Maker) -> None:
        first = maker.prediction("anna")
        await store.create(NewPrediction(prediction=first))
        with pytest.raises(Conflict):
            await store.create(NewPrediction(prediction=msgspec.structs.replace(first, account_id="bert")))
        assert await store.get(first.id) == first

    async def test_an_account_may_have_so_many_waiting(self, small_store: Store, maker: Maker) -> None:
        for _ in range(SMALL.per_account):
            await small_store.create(maker.new("anna"))
        refused = maker.new("anna")
        with pytest.raises(QueueFull, match="queued_per_account"):
            await small_store.create(refused)
        assert await small_store.get(refused.prediction.id) is None
        await small_store.create(maker.new("bert"))

    async def test_the_server_takes_so_many_waiting(self, small_store: Store, maker: Maker) -> None:
        for account_id in ("anna", "anna", "bert"):
            await small_store.create(maker.new(account_id))
        refused = maker.new("carl")
        with pytest.raises(Overloaded, match="queued_total"):
            await small_store.create(refused)
        assert await small_store.get(refused.prediction.id) is None

    async def test_a_repeat_is_answered_when_the_queue_is_full(self, small_store: Store, maker: Maker) -> None:
        news = [maker.new("anna") for _ in range(SMALL.per_account)]
        for new in news:
            await small_store.create(new)
        assert (await small_store.create(news[0])).prediction == news[0].prediction

    async def test_leaving_the_queue_frees_a_place(self, small_store: Store, maker: Maker) -> None:
        news = [maker.new("anna") for _ in range(SMALL.per_account)]
        for new in news:
            await small_store.create(new)
        await small_store.cancel(news[0].prediction.id, "anna", maker.clock.now())
        await small_store.create(maker.new("anna"))
        await claim_one(small_store, maker)
        await small_store.create(maker.new("anna"))
        with pytest.raises(QueueFull):
            await small_store.create(maker.new("anna"))

    async def test_a_prediction_leased_at_its_create_does_not_wait(self, small_store: Store, maker: Maker) -> None:
        await small_store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        for _ in range(SMALL.total + 1):
            new = NewPrediction(prediction=maker.prediction("anna"), session_id="s1")
            created = await small_store.create(new)
            assert created.lease is not None
            assert (created.lease.session_id, created.lease.fence, created.lease.attempt) == ("s1", 1, 1)
            assert created.lease.prediction_id == new.prediction.id
        assert await small_store.waiting() == {}

    async def test_a_closed_session_leases_no_new_prediction(self, store: Store, maker: Maker) -> None:
        created = await store.create(NewPrediction(prediction=maker.prediction(), session_id="gone"))
        assert created.lease is None
        assert await store.waiting() == {VERSION: 1}

    async def test_a_page_is_newest_first_and_knows_its_sides(self, store: Store, maker: Maker) -> None:
        ids = [(await store.create(maker.new())).prediction.id for _ in range(7)][::-1]
        await store.create(maker.new("bert"))
        first = await store.page("anna", limit=3)
        assert [item.id for item in first.items] == ids[:3]
        assert (first.has_newer, first.has_older) == (False, True)
        middle = await store.page("anna", limit=3, older_than=ids[2])
        assert [item.id for item in middle.items] == ids[3:6]
        assert (middle.has_newer, middle.has_older) == (True, True)
        last = await store.page("anna", limit=3, older_than=ids[5])
        assert [item.id for item in last.items] == ids[6:]
        assert (last.has_newer, last.has_older) == (True, False)

    async def test_a_page_can_be_asked_backwards(self, store: Store, maker: Maker) -> None:
        ids = [(await store.create(maker.new())).prediction.id for _ in range(7)][::-1]
        back = await store.page("anna", limit=3, newer_than=ids[5])
        assert [item.id for item in back.items] == ids[2:5]
        assert (back.has_newer, back.has_older) == (True, True)
        top = await store.page("anna", limit=3, newer_than=ids[2])
        assert [item.id for item in top.items] == ids[:2]
        assert (top.has_newer, top.has_older) == (False, True)

    async def test_a_page_beyond_the_end_is_empty(self, store: Store, maker: Maker) -> None:
        nothing = await store.page("anna", limit=3)
        assert (nothing.items, nothing.has_newer, nothing.has_older) == ((), False, False)
        one = (await store.create(maker.new())).prediction.id
        older = await store.page("anna", limit=3, older_than=one)
        assert (older.items, older.has_newer, older.has_older) == ((), True, False)
        newer = await store.page("anna", limit=3, newer_than=one)
        assert (newer.items, newer.has_newer, newer.has_older) == ((), False, True)

    async def test_a_page_of_a_time_includes_its_begin_only(self, store: Store, maker: Maker) -> None:
        made = []
        for _ in range(4):
            made.append((await store.create(maker.new())).prediction)
            maker.clock.advance(3600)
        page = await store.page("anna", limit=9, created_after=made[1].created_at, created_before=made[3].created_at)
        assert page.items == (made[2], made[1])
        assert (page.has_newer, page.has_older) == (False, False)
        half = await store.page("anna", limit=1, created_after=made[1].created_at, older_than=made[3].id)
        assert half.items == (made[2],)
        assert (half.has_newer, half.has_older) == (True, True)

    async def test_a_page_of_one_source(self, store: Store, maker: Maker) -> None:
        await store.create(maker.new())
        web = (await store.create(maker.new(source=Source.WEB))).prediction
        assert (await store.page("anna", limit=9, source=Source.WEB)).items == (web,)

    async def test_a_page_holds_what_terminal_rows_say(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output("done")])
        (item,) = (await store.page("anna", limit=9)).items
        assert (item.status, item.output) == (Status.SUCCEEDED, b'"done"')

    async def test_events_are_read_from_where_one_was(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said(str(number)) for number in range(5)])
        whole = await store.read_events(lease.prediction_id)
        assert [event.kind for event in whole[:2]] == [EventKind.CREATED, EventKind.STARTED]
        assert [event.data for event in whole[2:]] == [b'"0"', b'"1"', b'"2"', b'"3"', b'"4"']
        assert await store.read_events(lease.prediction_id, 3, 2) == whole[3:5]
        assert await store.read_events(lease.prediction_id, 7) == []
        assert await store.read_events(maker.new_id()) == []

    async def test_a_reading_of_events_ends_where_it_is_large_enough(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("x" * 98) for _ in range(5)])  # 100 bytes each, as JSON
        whole = await store.read_events(lease.prediction_id, 2)
        for limit_bytes, count in ((1, 1), (100, 1), (101, 2), (300, 3), (301, 4), (500, 5), (10_000, 5)):
            part = await store.read_events(lease.prediction_id, 2, limit_bytes=limit_bytes)
            assert part == whole[:count], limit_bytes
        assert await store.read_events(lease.prediction_id, 2, 2, 10_000) == whole[:2]

    async def test_the_log_of_all_is_ordered_and_complete(self, store: Store, maker: Maker) -> None:
        first = await leased(store, maker)
        second = await leased(store, maker)
        await store.append_events(second, [maker.started()])
        await store.append_events(first, [maker.started()])
        log = await store.read_log()
        assert [event.offset for event in log] == sorted({event.offset for event in log})
        assert log[0].offset > 0
        assert [(event.prediction_id, event.kind) for event in log] == [
            (first.prediction_id, EventKind.CREATED),
            (second.prediction_id, EventKind.CREATED),
            (second.prediction_id, EventKind.STARTED),
            (first.prediction_id, EventKind.STARTED),
        ]
        assert await store.read_log(log[1].offset) == log[2:]
        assert await store.read_log(log[0].offset, 2) == log[1:3]

    async def test_what_has_changed_between_two_looks_is_found(self, store: Store, maker: Maker) -> None:
        assert await store.newest_offset() == 0
        first = await leased(store, maker)
        second = await leased(store, maker)
        before = await store.newest_offset()
        assert await store.changed_between(before, before) == []
        await store.append_events(second, [maker.started(), maker.said("one")])
        middle = await store.newest_offset()
        await store.append_events(first, [maker.started()])
        after = await store.newest_offset()
        assert (await store.read_log())[-1].offset == after
        assert await store.changed_between(before, middle) == [second.prediction_id]
        assert await store.changed_between(middle, after) == [first.prediction_id]
        assert sorted(await store.changed_between(0, after)) == sorted([first.prediction_id, second.prediction_id])

    async def test_a_reader_of_the_log_misses_nothing_while_many_write(self, store: Store, maker: Maker) -> None:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        seen: list[Event] = []

        async def write(count: int) -> None:
            for _ in range(count):
                created = await store.create(NewPrediction(prediction=maker.prediction(), session_id="s1"))
                assert created.lease is not None
                await store.finish(created.lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.started()])

        async def read(total: int) -> None:
            while len(seen) < total:
                seen.extend(await store.read_log(seen[-1].offset if seen else 0, 7))
                await asyncio.sleep(0)

        async with asyncio.timeout(30):
            await asyncio.gather(read(3 * 8 * 5), *[write(5) for _ in range(8)])
        assert await store.read_log() == seen
        seqs: dict[str, list[int]] = {}
        for event in seen:
            seqs.setdefault(event.prediction_id, []).append(event.seq)
        assert set(map(tuple, seqs.values())) == {(1, 2, 3)}

    async def test_a_create_tells_its_outcome_in_place_of_an_awaitable(self, store: Store, maker: Maker) -> None:
        told: asyncio.Queue[Created | Exception] = asyncio.Queue()
        new = maker.new()
        other = msgspec.structs.replace(new.prediction, account_id="another")
        async with asyncio.timeout(10):
            store.create_and_tell(new, told.put_nowait)
            assert told.empty(), "not inside of the call"
            assert await told.get() == Created(prediction=await row_of(store, new.prediction.id))
            store.create_and_tell(msgspec.structs.replace(new, prediction=other), told.put_nowait)
            assert isinstance(await told.get(), Conflict)

    async def test_a_writer_that_stops_waiting_has_written(self, store: Store, maker: Maker) -> None:
        new = maker.new()
        waiter = asyncio.ensure_future(store.create(new))
        waiter.cancel()
        row, rounds = None, 0
        while row is None and rounds < 1000:
            rounds += 1
            await store.create(maker.new())  # it comes after it, unless it goes to another store on the same database
            row = await store.get(new.prediction.id)
        assert row == new.prediction

    async def test_every_change_raises_the_revision(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        revisions = [(await row_of(store, lease.prediction_id)).revision]
        for event in (maker.started(), maker.said("x"), maker.part(1)):
            answer = await store.append_events(lease, [event])
            revisions.append(answer.revision)
            row = await row_of(store, lease.prediction_id)
            assert row.revision == answer.revision
            assert store.revision(row.id, row.account_id) in {row.revision, None}
            assert store.revision(row.id, "another") is None
            assert store.revision("0" * 26, row.account_id) is None
        revisions.append((await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())).prediction.revision)
        assert revisions == sorted(set(revisions))

    async def test_a_row_that_just_ended_is_the_present_one(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        assert store.just_ended(lease.prediction_id) is None
        ended = (await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())).prediction
        assert store.just_ended(ended.id) in (None, ended)
        assert await row_of(store, ended.id) == ended
        assert store.just_ended("0" * 26) is None

    async def test_the_newest_id_is_the_greatest(self, store: Store, maker: Maker) -> None:
        assert await store.newest_id() is None
        news = [maker.new(), maker.new("bert"), maker.new()]
        for new in reversed(news):
            await store.create(new)
        assert await store.newest_id() == news[-1].prediction.id

    async def test_a_cancel_may_have_a_reason(self, store: Store, maker: Maker) -> None:
        new = maker.new("anna")
        await store.create(new)
        canceled = await store.cancel(new.prediction.id, "anna", maker.clock.now(), reason="abandoned")
        assert canceled is not None
        assert canceled.prediction.termination_reason == "abandoned"
        assert (await row_of(store, new.prediction.id)).termination_reason == "abandoned"
        again = await store.cancel(new.prediction.id, "anna", maker.clock.now(), reason="other")
        assert again is not None
        assert (again.changed, again.prediction.termination_reason) == (False, "abandoned")

    async def test_events_without_their_data_are_those_of_what_happened(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("x"), maker.part("y"), maker.metric("steps", 3)])
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        told = await store.read_events(lease.prediction_id, with_data=False)
        kinds = [EventKind.CREATED, EventKind.STARTED, EventKind.CANCEL_REQUESTED, EventKind.FINISHED]
        assert [event.kind for event in told] == kinds
        assert await store.read_events(lease.prediction_id, 1, 1, with_data=False) == told[1:2]

    async def test_files_of_ours_are_held_for_the_input(self, store: Store, maker: Maker) -> None:
        await store.add_reference("a" * 64, 3, "file", "f1", "x")
        held, gone = InputFile(sha256="a" * 64, name="mine"), InputFile(sha256="b" * 64, name="let go meanwhile")
        new = NewPrediction(prediction=maker.prediction(), files=(held, gone))
        await store.create(new)
        found = await store.references("input", new.prediction.id)
        assert [(one.sha256, one.name) for one in found] == [("a" * 64, "mine")]
        assert await store.drop_references("file", "f1") == []

    async def test_a_refused_create_holds_nothing(self, small_store: Store, maker: Maker) -> None:
        await small_store.add_reference("a" * 64, 3, "file", "f1", "x")
        for _ in range(SMALL.per_account):
            await small_store.create(maker.new())
        refused = NewPrediction(prediction=maker.prediction(), files=(InputFile(sha256="a" * 64, name="x"),))
        with pytest.raises(QueueFull):
            await small_store.create(refused)
        assert await small_store.references("input", refused.prediction.id) == []
