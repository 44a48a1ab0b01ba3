"""The contract of leases: who may write about a run, and the effect of each write."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from halley.errors import LeaseLost, WrongState
from halley.predictions.queue import Finished, Lease, Returned
from halley.predictions.records import Finish
from halley.predictions.status import EventKind, Fact, Status
from halley.store.ports import Store
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    OTHER_VERSION,
    PICTURE,
    VERSION,
    Maker,
    StoreSuite,
    claim_one,
    data_of,
    kinds_of,
    leased,
    on_duty,
    row_of,
    running,
)


@pytest.mark.anyio
class LeaseContract(StoreSuite):
    """What holders of leases report."""

    async def check_refused(self, store: Store, maker: Maker, lease: Lease) -> None:
        """Neither append nor finish is accepted with this lease, and nothing is written."""
        row, kinds = await store.get(lease.prediction_id), await store.read_events(lease.prediction_id)
        with pytest.raises(LeaseLost):
            await store.append_events(lease, [maker.said("mine")])
        with pytest.raises(LeaseLost):
            await store.finish(lease, Fact.FAILED, maker.clock.now(), events=[maker.said("mine")])
        with pytest.raises(LeaseLost):
            await store.show_input(lease, b'{"mine":1}')
        assert await store.get(lease.prediction_id) == row
        assert await store.read_events(lease.prediction_id) == kinds

    async def test_what_sessions_offer_is_known_until_they_are_reaped(self, store: Store, maker: Maker) -> None:
        assert await store.offered() == frozenset()
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS, offers=[VERSION, OTHER_VERSION])
        await store.open_session("s2", maker.clock.now(), LEASE_SECONDS)
        assert await store.offered() == {VERSION, OTHER_VERSION}
        await store.renew("s2", maker.clock.now(), LEASE_SECONDS, offers=[VERSION])
        assert await store.offered(but_of="s1") == {VERSION}
        await store.renew("s1", maker.clock.now(), LEASE_SECONDS)
        assert await store.offered(but_of="s2") == {VERSION, OTHER_VERSION}, "nothing said, nothing changed"
        await store.renew("s1", maker.clock.now(), LEASE_SECONDS, offers=[])
        assert await store.offered() == {VERSION}
        await store.reap(await on_duty(store), maker.clock.now(), all_but="s1")
        assert await store.offered() == frozenset()

    async def test_the_start_is_recorded(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        maker.clock.advance(3)
        answer = await store.append_events(lease, [maker.started(), maker.said("go")])
        assert not answer.is_terminal
        row = await row_of(store, lease.prediction_id)
        assert (row.status, row.started_at, row.revision) == (Status.PROCESSING, maker.clock.now(), answer.revision)
        assert (row.fence, row.attempts) == (lease.fence, lease.attempt)
        assert (row.output, row.logs, row.metrics) == (None, "", {})
        assert await kinds_of(store, row.id) == [EventKind.CREATED, EventKind.STARTED, EventKind.LOGGED]

    async def test_events_carry_their_attempt(self, store: Store, maker: Maker) -> None:
        first = await leased(store, maker)
        await store.append_events(first, [maker.started()])
        await store.reap(await on_duty(store), maker.clock.now(), all_but="nobody")
        maker.clock.advance(60)
        second = (await claim_one(store, maker, "s2")).lease
        await store.append_events(second, [maker.started()])
        events = await store.read_events(first.prediction_id)
        by_kind = [(event.kind, event.attempt) for event in events[1:]]
        assert by_kind == [(EventKind.STARTED, 1), (EventKind.ATTEMPT_LOST, 1), (EventKind.STARTED, 2)]
        row = await row_of(store, first.prediction_id)
        assert (row.status, row.started_at) == (Status.PROCESSING, events[1].at)

    async def test_another_session_may_not_write(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.open_session("s2", maker.clock.now(), LEASE_SECONDS)
        await self.check_refused(store, maker, msgspec.structs.replace(lease, session_id="s2"))

    async def test_another_fence_may_not_write(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        for fence in (lease.fence - 1, lease.fence + 1):
            await self.check_refused(store, maker, msgspec.structs.replace(lease, fence=fence))

    async def test_an_old_fence_may_not_write(self, store: Store, maker: Maker) -> None:
        old = await leased(store, maker)
        await store.release(old, maker.clock.now())
        await self.check_refused(store, maker, old)
        assert (await claim_one(store, maker)).lease.fence > old.fence  # the same session again
        await self.check_refused(store, maker, old)

    async def test_the_reaped_may_not_write(self, store: Store, maker: Maker) -> None:
        old = await running(store, maker)
        await store.reap(await on_duty(store), maker.clock.now(), all_but="s2")
        await self.check_refused(store, maker, old)
        maker.clock.advance(60)
        now = (await claim_one(store, maker, "s2")).lease
        await self.check_refused(store, maker, old)
        assert (await store.finish(now, Fact.SUCCEEDED, maker.clock.now())).applied

    async def test_an_absent_file_is_not_held(self, store: Store, maker: Maker) -> None:
        await self.check_refused(store, maker, Lease(prediction_id=maker.new_id(), session_id="s1", fence=1, attempt=1))

    async def test_only_log_text_comes_after_the_end(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("before\n")])
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        row, kinds = await row_of(store, lease.prediction_id), await kinds_of(store, lease.prediction_id)
        answer = await store.append_events(lease, [maker.said("late\n"), maker.part(1), maker.said("later\n")])
        assert (answer.is_terminal, answer.revision) == (True, row.revision + 1)
        late = msgspec.structs.replace(row, logs="before\nlate\nlater\n", revision=row.revision + 1)
        assert await store.get(row.id) == late
        assert (await store.append_events(lease, [maker.part(1)])).revision == late.revision
        done = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.said("last\n")])
        assert not done.applied
        assert (done.prediction.status, done.prediction.logs) == (Status.CANCELED, late.logs + "last\n")
        assert await store.get(row.id) == done.prediction
        assert await kinds_of(store, row.id) == kinds  # FINISHED is the last event

    async def test_log_text_does_not_bring_back_removed_data(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        await store.remove_data([lease.prediction_id], maker.clock.now())
        row = await row_of(store, lease.prediction_id)
        await store.append_events(lease, [maker.said("late\n")])
        assert await store.get(row.id) == row

    async def test_a_shared_crash_runs_again_alone(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        events = [maker.said("one\n"), maker.part("nobody saw it")]
        again = await store.run_again_alone(lease, maker.clock.now(), events=events, mark="-- again --\n")
        assert (again.requeued, again.prediction.status) == (True, Status.PROCESSING)
        await self.check_refused(store, maker, lease)
        claimed = await claim_one(store, maker)  # at once
        assert (claimed.alone, claimed.lease.fence, claimed.lease.attempt) == (True, lease.fence + 1, 2)
        second = await store.run_again_alone(claimed.lease, maker.clock.now(), mark="no")
        assert not second.requeued  # it has been alone
        done = await store.finish(claimed.lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output(7)])
        assert (done.prediction.output, done.prediction.logs) == (b"7", "one\n-- again --\n")
        kinds = await kinds_of(store, lease.prediction_id)
        assert EventKind.OUTPUT_ADDED not in kinds
        assert kinds.count(EventKind.ATTEMPT_LOST) == 1

    async def test_an_exclusive_prediction_stays_so_and_has_one_attempt_more(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.run_again_alone(lease, maker.clock.now(), mark="again")
        for attempt in (2, 3):
            claimed = await claim_one(store, maker, f"s{attempt}")
            assert (claimed.alone, claimed.lease.attempt) == (True, attempt)
            await store.release(claimed.lease, maker.clock.now())
            claimed = await claim_one(store, maker, f"s{attempt}")
            assert (claimed.alone, claimed.lease.attempt) == (True, attempt)
            (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="new")
            assert reaped.requeued == (attempt == 2)
            maker.clock.advance(60)
        assert (await row_of(store, lease.prediction_id)).termination_reason == "worker_lost"

    async def test_ended_or_published_predictions_are_not_run_again(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.part("a")])
        row = await row_of(store, lease.prediction_id)
        assert not (await store.run_again_alone(lease, maker.clock.now(), mark="no")).requeued
        assert await store.get(row.id) == row
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        assert not (await store.run_again_alone(lease, maker.clock.now(), mark="no")).requeued
        await store.finish(lease, Fact.FAILED, maker.clock.now())
        with pytest.raises(LeaseLost):
            await store.run_again_alone(lease, maker.clock.now(), mark="no")

    async def test_the_input_can_be_shown_in_another_way(self, store: Store, maker: Maker) -> None:
        hidden = maker.new(input=b'{"a":"[REDACTED]","b":"[REDACTED]"}')
        await store.create(msgspec.structs.replace(hidden, work_input=b'{"a":"x","b":"y"}'))
        await store.open_session("s", maker.clock.now(), LEASE_SECONDS)
        claimed = await claim_one(store, maker, "s")
        shown = b'{"a":"x","b":"[REDACTED]"}'
        await store.show_input(claimed.lease, shown)
        row = await row_of(store, claimed.prediction.id)
        assert (row.input, row.revision) == (shown, claimed.prediction.revision + 1)
        assert (row.status, claimed.work_input) == (Status.STARTING, b'{"a":"x","b":"y"}')
        await store.release(claimed.lease, maker.clock.now())
        assert (await claim_one(store, maker, "s")).work_input == b'{"a":"x","b":"y"}'

    async def test_the_input_of_what_has_ended_stays(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        row = await row_of(store, lease.prediction_id)
        await store.show_input(lease, b'{"other":1}')
        assert await store.get(lease.prediction_id) == row

    async def test_the_end_folds_what_was_said(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("one\n"), maker.metric("timing.load", 1.5)])
        maker.clock.advance(4)
        last = [maker.said("two\n"), maker.output("asset:x/0/a.png", [PICTURE])]
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=last, predict_time=2.5)
        assert finished.applied
        row = finished.prediction
        assert row == await store.get(lease.prediction_id)
        assert (row.status, row.completed_at, row.error) == (Status.SUCCEEDED, maker.clock.now(), None)
        assert (row.output, row.logs, row.files) == (b'"asset:x/0/a.png"', "one\ntwo\n", (PICTURE,))
        assert row.metrics["timing"] == {"load": 1.5}
        assert (row.metrics["predict_time"], row.metrics["image_count"]) == (2.5, 1)
        events = await store.read_events(row.id)
        assert events[-1].kind is EventKind.FINISHED
        assert msgspec.json.decode(events[-1].data, type=Finish) == Finish(status=Status.SUCCEEDED)
        assert len(events) == 7

    async def test_what_was_said_long_ago_counts_at_the_end(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("early\n")])
        await store.append_events(lease, [maker.started()])
        await store.append_events(lease, [])
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        assert finished.prediction.logs == "early\n"

    async def test_items_become_a_list(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.part("a"), maker.part({"b": 1})])
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.part(None)])
        assert finished.prediction.output == b'["a",{"b":1},null]'

    async def test_start_and_end_may_come_together(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        maker.clock.advance(1)
        events = [maker.started(), maker.output(1)]
        maker.clock.advance(2)
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=events)
        row = finished.prediction
        assert row.started_at is not None
        assert (row.completed_at or row.started_at) - row.started_at == maker.clock.now() - events[0].at
        assert row.metrics["predict_time"] == 2.0
        assert (row.fence, row.attempts) == (1, 1)
        assert await kinds_of(store, row.id) == [
            EventKind.CREATED,
            EventKind.STARTED,
            EventKind.OUTPUT_SET,
            EventKind.FINISHED,
        ]

    async def test_a_failure_keeps_its_words(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("boom\n")])
        finished = await store.finish(lease, Fact.FAILED, maker.clock.now(), error="ValueError: no", reason="crashed")
        row = finished.prediction
        assert (row.status, row.error, row.termination_reason) == (Status.FAILED, "ValueError: no", "crashed")
        assert (row.logs, row.output) == ("boom\n", None)
        (finish,) = data_of(await store.read_events(row.id), EventKind.FINISHED)
        assert finish == {"status": "failed", "error": "ValueError: no", "reason": "crashed"}

    async def test_success_needs_a_start(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        with pytest.raises(WrongState):
            await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output(1)])
        assert await kinds_of(store, lease.prediction_id) == [EventKind.CREATED]
        assert (await store.finish(lease, Fact.FAILED, maker.clock.now())).applied

    async def test_the_outcome_is_told_in_place_of_an_awaitable(self, store: Store, maker: Maker) -> None:
        told: asyncio.Queue[Finished | Exception] = asyncio.Queue()
        lease = await leased(store, maker)
        wrong = msgspec.structs.replace(lease, fence=lease.fence + 1)
        at = maker.clock.now()
        returned = Returned(started_at=at, at=at + timedelta(seconds=1), output=b'"x"', predict_time=0.5)
        async with asyncio.timeout(10):
            store.finish_returned(wrong, returned, told.put_nowait)
            assert told.empty(), "not inside of the call"
            assert isinstance(await told.get(), LeaseLost)
            store.finish_returned(lease, returned, told.put_nowait)
            finished = await told.get()
        row = await row_of(store, lease.prediction_id)
        assert finished == Finished(prediction=row, applied=True)
        assert (row.status, row.output, row.metrics["predict_time"]) == (Status.SUCCEEDED, b'"x"', 0.5)

    @pytest.mark.parametrize("output", [None, b"1", b'"\xc3\xbc"', b'{"files":[]}', b"9" * 5000])
    async def test_a_run_that_only_returned_ends_as_told_by_its_events(
        self, store: Store, maker: Maker, output: bytes | None
    ) -> None:
        leases = [await leased(store, maker, account_id=f"a{number}") for number in range(2)]
        at = maker.clock.now()
        returned = Returned(started_at=at, at=at + timedelta(seconds=1), output=output)
        told: asyncio.Queue[Finished | Exception] = asyncio.Queue()
        store.finish_returned(leases[0], returned, told.put_nowait)
        await store.finish(leases[1], Fact.SUCCEEDED, returned.at, events=returned.events())
        assert isinstance(await told.get(), Finished)
        found = []
        for lease in leases:
            events = await store.read_events(lease.prediction_id)
            row = await row_of(store, lease.prediction_id)
            told_of = [(event.seq, event.kind, event.at, event.data) for event in events[1:]]
            found.append((told_of, row.status, row.output, row.logs, row.metrics["predict_time"]))
        assert found[0] == found[1]
        assert [event.kind for event in returned.events()] == [kind for _, kind, _, _ in found[0][0][:-1]]

    async def test_finishing_again_is_harmless(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        first = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now(), events=[maker.output(1)])
        kinds = await kinds_of(store, lease.prediction_id)
        maker.clock.advance(9)
        again = await store.finish(lease, Fact.FAILED, maker.clock.now(), events=[maker.output(2)], error="x")
        assert not again.applied
        assert again.prediction == first.prediction == await store.get(lease.prediction_id)
        assert await kinds_of(store, lease.prediction_id) == kinds

    async def test_the_slot_is_settled_after_a_cancel(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == [lease]
        finished = await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        assert not finished.applied
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == []

    async def test_renewing_names_what_has_ended(self, store: Store, maker: Maker) -> None:
        canceled, other = await running(store, maker), await running(store, maker)
        elsewhere = await running(store, maker, "s2")
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == []
        for lease in (canceled, elsewhere):
            await store.cancel(lease.prediction_id, None, maker.clock.now())
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == [canceled]
        assert (await store.append_events(other, [maker.said("on")])).is_terminal is False

    async def test_renewing_keeps_the_leases(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        for _ in range(4):
            maker.clock.advance(LEASE_SECONDS - 1)
            await store.renew("s1", maker.clock.now(), LEASE_SECONDS)
            assert await store.reap(await on_duty(store), maker.clock.now()) == []
        assert (await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())).applied

    async def test_a_session_that_was_reaped_cannot_renew(self, store: Store, maker: Maker) -> None:
        await running(store, maker)
        with pytest.raises(LeaseLost):
            await store.renew("never", maker.clock.now(), LEASE_SECONDS)
        maker.clock.advance(LEASE_SECONDS + 1)
        await store.reap(await on_duty(store), maker.clock.now())
        with pytest.raises(LeaseLost):
            await store.renew("s1", maker.clock.now(), LEASE_SECONDS)
        with pytest.raises(LeaseLost):
            await store.claim("s1", {"a" * 64: 1}, maker.clock.now())
