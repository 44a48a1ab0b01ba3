"""The contract of `SubmitLedger`, and of reap and similar methods for predictions that may run elsewhere."""

from datetime import timedelta

import msgspec
import pytest

from halley.errors import LeaseLost, SubmitLimitReached, WrongState
from halley.models.records import LOCAL, Model, Version
from halley.predictions.queue import Lease
from halley.predictions.records import Prediction
from halley.predictions.status import EventKind, Fact, Status, SubmitState
from halley.predictions.submits import ADOPTION_SECONDS, UNKNOWN_REASON, Recorded, SubmitCount
from halley.store.ports import Store
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    PICTURE,
    VERSION,
    Maker,
    StoreSuite,
    claim_one,
    kinds_of,
    leased,
    on_duty,
    row_of,
    running,
)

UPSTREAM = "upstream"


async def bring_to(store: Store, lease: Lease, state: SubmitState | None) -> None:
    """Bring a new lease to this submit state."""
    if state is not None:
        await store.record_intent(lease, UPSTREAM)
    if state is SubmitState.SUBMITTED:
        await store.record_handle(lease, "h1")
    if state is SubmitState.UNKNOWN:
        await store.record_unknown(lease)


@pytest.mark.anyio
class SubmitContract(StoreSuite):
    """A prediction is submitted once to a provider that continues without us."""

    async def test_the_states_follow_each_other(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        before = await row_of(store, lease.prediction_id)
        assert (before.submit_state, before.handle) == (None, None)
        await store.record_intent(lease, UPSTREAM)
        intended = await row_of(store, lease.prediction_id)
        expected = msgspec.structs.replace(before, submit_state=SubmitState.INTENDED, provider=UPSTREAM)
        assert intended == expected
        await store.record_handle(lease, "h1")
        await store.record_handle(lease, "h2")
        submitted = await row_of(store, lease.prediction_id)
        assert submitted == msgspec.structs.replace(expected, submit_state=SubmitState.SUBMITTED, handle="h2")
        await store.record_unknown(lease)
        unknown = await row_of(store, lease.prediction_id)
        assert unknown == msgspec.structs.replace(submitted, submit_state=SubmitState.UNKNOWN)

    async def test_handles_and_unknown_outcomes_are_found_again(self, store: Store, maker: Maker) -> None:
        first, other = await leased(store, maker), await leased(store, maker)
        await bring_to(store, first, SubmitState.SUBMITTED)
        assert await store.held_handles(["h0", "h1", 'odd"\n', "h1"]) == {"h1"}
        assert await store.held_handles([]) == frozenset()
        assert await store.count_unknown() == {}
        await store.record_unknown(first)
        await bring_to(store, other, SubmitState.UNKNOWN)
        assert await store.count_unknown() == {UPSTREAM: 2}
        listed = await store.list_unknown(5)
        assert [row.id for row in listed] == [other.prediction_id, first.prediction_id]
        assert [row.id for row in await store.list_unknown(1)] == [other.prediction_id]
        assert (listed[1].provider, listed[1].handle, listed[1].input) == (UPSTREAM, "h1", b"{}")
        assert await store.held_handles(["h1"]) == {"h1"}
        assert await store.held_handles(["h1"], provider=UPSTREAM) == {"h1"}
        assert await store.held_handles(["h1"], provider="another") == frozenset()

    async def test_submits_are_counted_for_a_day_and_refused_beyond_a_limit(self, store: Store, maker: Maker) -> None:
        def count(most: int | None = 2) -> SubmitCount:
            return SubmitCount(maker.clock.now(), most)

        leases = [await leased(store, maker) for _ in range(4)]
        await store.record_intent(leases[0], UPSTREAM, count())
        maker.clock.advance(3600)
        assert await store.seconds_until_submit(UPSTREAM, count()) == 0
        await store.record_intent(leases[1], UPSTREAM, count())
        assert await store.count_submits(maker.clock.now()) == {UPSTREAM: 2}
        assert await store.seconds_until_submit(UPSTREAM, count()) == 23 * 3600
        assert await store.seconds_until_submit(UPSTREAM, count(1)) == 24 * 3600
        assert await store.seconds_until_submit(UPSTREAM, count(None)) == 0
        assert await store.seconds_until_submit("b", count()) == 0
        row = await row_of(store, leases[2].prediction_id)
        with pytest.raises(SubmitLimitReached, match=r"upstream: its limit of 2 .* the next is possible in 23 h"):
            await store.record_intent(leases[2], UPSTREAM, count())
        assert await store.get(row.id) == row
        await store.record_intent(leases[2], "b", count())  # each provider has its own
        await store.withdraw_intent(leases[1])  # nothing was begun
        await store.record_intent(leases[3], UPSTREAM, count())
        await store.record_unknown(leases[0])  # it may have begun
        await store.record_handle(leases[3], "h1")
        assert await store.count_submits(maker.clock.now()) == {UPSTREAM: 2, "b": 1}
        assert await store.seconds_until_submit(UPSTREAM, count()) == 23 * 3600
        maker.clock.advance(23 * 3600)
        assert await store.seconds_until_submit(UPSTREAM, count()) == 0
        await store.record_intent(leases[1], UPSTREAM, count())
        assert await store.count_submits(maker.clock.now()) == {UPSTREAM: 2, "b": 1}

    async def test_a_clock_that_is_set_brings_no_more_submits(self, store: Store, maker: Maker) -> None:
        first, second = await leased(store, maker), await leased(store, maker)
        await store.record_intent(first, UPSTREAM, SubmitCount(maker.clock.now(), 1))
        for by in (25 * 3600, -50 * 3600):
            maker.clock.jump(by)
            with pytest.raises(SubmitLimitReached):
                await store.record_intent(second, UPSTREAM, SubmitCount(maker.clock.now(), 1))
        maker.clock.advance(24 * 3600)
        await store.record_intent(second, UPSTREAM, SubmitCount(maker.clock.now(), 1))

    async def test_where_it_was_submitted_to_is_told_to_the_next_holder(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.record_intent(lease, UPSTREAM, SubmitCount(maker.clock.now(), None, "there"))
        await store.release(lease, maker.clock.now())
        claimed = await claim_one(store, maker, "s2")
        assert claimed.recorded == Recorded(place="there")
        await store.withdraw_intent(claimed.lease)
        await store.record_intent(claimed.lease, UPSTREAM)
        await store.release(claimed.lease, maker.clock.now())
        assert (await claim_one(store, maker, "s3")).recorded == Recorded()

    async def test_the_place_of_a_run_that_goes_on_is_kept(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.record_intent(lease, UPSTREAM, SubmitCount(maker.clock.now(), None, "there"))
        await store.record_handle(lease, "7")
        maker.clock.advance(49 * 3600)
        await store.record_intent(await leased(store, maker), UPSTREAM, SubmitCount(maker.clock.now(), None, "here"))
        await store.release(lease, maker.clock.now())
        claimed = await claim_one(store, maker, "s2")
        assert claimed.recorded == Recorded(place="there")

    async def test_an_intent_can_be_withdrawn(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.record_intent(lease, UPSTREAM)
        await store.withdraw_intent(lease)
        assert (await row_of(store, lease.prediction_id)).submit_state is None
        await store.record_intent(lease, UPSTREAM)

    @pytest.mark.parametrize("state", [None, *SubmitState])
    async def test_other_steps_are_refused(self, store: Store, maker: Maker, state: SubmitState | None) -> None:
        lease = await leased(store, maker)
        await bring_to(store, lease, state)
        row = await row_of(store, lease.prediction_id)
        if state is not None:
            with pytest.raises(WrongState):
                await store.record_intent(lease, UPSTREAM)
        if state is not SubmitState.INTENDED:
            with pytest.raises(WrongState):
                await store.withdraw_intent(lease)
        if state not in {SubmitState.INTENDED, SubmitState.SUBMITTED}:
            with pytest.raises(WrongState):
                await store.record_handle(lease, "h9")
        assert await store.get(row.id) == row

    async def test_only_the_holder_may_record(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.record_intent(lease, UPSTREAM)
        row = await row_of(store, lease.prediction_id)
        for other in (msgspec.structs.replace(lease, fence=9), msgspec.structs.replace(lease, session_id="s9")):
            with pytest.raises(LeaseLost):
                await store.record_intent(other, UPSTREAM)
            for write in (store.withdraw_intent, store.record_unknown):
                with pytest.raises(LeaseLost):
                    await write(other)
            with pytest.raises(LeaseLost):
                await store.record_handle(other, "h1")
        assert await store.get(row.id) == row

    async def test_what_has_ended_is_not_submitted_but_its_handle_is_kept(self, store: Store, maker: Maker) -> None:
        early, late = await leased(store, maker), await leased(store, maker)
        await store.record_intent(late, UPSTREAM)
        for lease in (early, late):
            await store.cancel(lease.prediction_id, None, maker.clock.now())
        with pytest.raises(WrongState):
            await store.record_intent(early, UPSTREAM)
        await store.record_handle(late, "h1")
        row = await row_of(store, late.prediction_id)
        assert (row.status, row.submit_state, row.handle) == (Status.CANCELED, SubmitState.SUBMITTED, "h1")

    @pytest.mark.parametrize("state", [SubmitState.INTENDED, SubmitState.SUBMITTED])
    async def test_an_upstream_prediction_is_adopted_without_a_new_attempt(
        self, store: Store, maker: Maker, state: SubmitState
    ) -> None:
        lease = await running(store, maker)
        await bring_to(store, lease, state)
        said = [maker.said("one "), maker.said("☄\n"), maker.metric("n", 1), maker.part("a")]
        await store.append_events(lease, [*said, maker.output("x", [PICTURE])])
        row, kinds = await row_of(store, lease.prediction_id), await kinds_of(store, lease.prediction_id)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="s2", max_attempts=1)
        assert reaped.requeued
        assert await store.waiting() == {VERSION: 1}
        claimed = await claim_one(store, maker, "s2")  # at once
        assert (claimed.lease.fence, claimed.lease.attempt) == (lease.fence + 1, lease.attempt)
        assert (claimed.prediction.submit_state, claimed.prediction.handle) == (row.submit_state, row.handle)
        assert claimed.recorded == Recorded(has_started=True, log_chars=6, outputs=2, files=1, metrics=1)
        assert await kinds_of(store, row.id) == kinds  # no attempt was lost
        with pytest.raises(WrongState):
            await store.record_intent(claimed.lease, UPSTREAM)

    async def test_what_has_begun_nowhere_keeps_its_attempts(self, store: Store, maker: Maker) -> None:
        row = await self._of_provider(store, maker, UPSTREAM)
        for number in range(1, 5):
            lease = (await claim_one(store, maker, f"s{number}")).lease
            assert (lease.fence, lease.attempt) == (number, 1)
            if number > 1:
                await store.record_intent(lease, UPSTREAM)
                await store.withdraw_intent(lease)
            (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="new", max_attempts=1)
            assert (reaped.requeued, reaped.prediction) == (True, await store.get(row.id))
            assert await store.waiting() == {VERSION: 1}
            with pytest.raises(LeaseLost):
                await store.record_intent(lease, UPSTREAM)
            await store.open_session("new", maker.clock.now(), LEASE_SECONDS)
            assert await store.claim("new", {VERSION: 1}, maker.clock.now()) == []  # not at once
            maker.clock.advance(1)
        assert await kinds_of(store, row.id) == [EventKind.CREATED]
        maker.clock.advance(60)
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), 60)  # but it does not wait forever
        assert (expired.prediction.status, expired.prediction.termination_reason) == (Status.ABORTED, "queue_time")

    async def test_an_attempt_on_this_machine_counts_from_its_lease(self, store: Store, maker: Maker) -> None:
        await self._of_provider(store, maker, LOCAL)
        await claim_one(store, maker)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="new", max_attempts=1)
        assert (reaped.requeued, reaped.prediction.termination_reason) == (False, "worker_lost")

    async def _of_provider(self, store: Store, maker: Maker, provider: str) -> Prediction:
        """A waiting prediction of a version with this provider."""
        new = maker.new(provider=provider)
        owner, _, name = new.prediction.model.partition("/")
        at = maker.clock.now()
        await store.put_model(Model(owner=owner, name=name, created_at=at))
        await store.put_version(
            Version(id=VERSION, model=new.prediction.model, created_at=at, openapi_schema=b"{}", provider=provider)
        )
        return (await store.create(new)).prediction

    async def test_what_was_never_submitted_comes_without_a_record(self, store: Store, maker: Maker) -> None:
        await store.create(maker.new())
        assert (await claim_one(store, maker)).recorded is None

    async def test_what_was_given_back_keeps_its_state(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await bring_to(store, lease, SubmitState.SUBMITTED)
        await store.release(lease, maker.clock.now())
        claimed = await claim_one(store, maker, "s2")
        assert (claimed.prediction.submit_state, claimed.prediction.handle) == (SubmitState.SUBMITTED, "h1")
        assert claimed.recorded == Recorded()

    async def test_the_unknown_ends_and_says_so(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await bring_to(store, lease, SubmitState.UNKNOWN)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="s2")
        row = await row_of(store, lease.prediction_id)
        assert (reaped.requeued, reaped.prediction) == (False, row)
        assert (row.status, row.termination_reason) == (Status.FAILED, UNKNOWN_REASON)
        assert "not known" in (row.error or "")
        assert await store.waiting() == {}

    @pytest.mark.parametrize("how", ["version", "queue time"])
    async def test_an_upstream_prediction_that_is_not_adopted_ends_unknown(
        self, store: Store, maker: Maker, how: str
    ) -> None:
        lease = await leased(store, maker)
        await store.record_intent(lease, UPSTREAM)
        await store.release(lease, maker.clock.now())
        maker.clock.advance(ADOPTION_SECONDS)
        duty = await on_duty(store)
        if how == "version":
            (ended,) = await store.fail_waiting(duty, VERSION, maker.clock.now(), "setup broke", "setup_failed")
        else:
            (expired,) = await store.expire(duty, maker.clock.now(), LEASE_SECONDS / 2)
            ended = expired.prediction
        assert ended == await store.get(lease.prediction_id)
        assert (ended.status, ended.termination_reason) == (Status.FAILED, UNKNOWN_REASON)
        assert ended.submit_state is SubmitState.UNKNOWN
        assert await store.waiting() == {}
        assert (await kinds_of(store, ended.id))[-1] is EventKind.FINISHED

    async def test_what_ran_elsewhere_has_not_waited_all_that_time(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await bring_to(store, lease, SubmitState.SUBMITTED)
        maker.clock.advance(3600.0)
        await store.release(lease, maker.clock.now())
        duty = await on_duty(store)
        maker.clock.advance(ADOPTION_SECONDS - 1)
        assert await store.expire(duty, maker.clock.now(), 600.0) == []
        claimed = await claim_one(store, maker, "s2")
        assert (claimed.prediction.handle, round(claimed.ran_seconds)) == ("h1", 3600 + ADOPTION_SECONDS - 1)
        await store.release(claimed.lease, maker.clock.now())
        maker.clock.advance(ADOPTION_SECONDS)
        (expired,) = await store.expire(duty, maker.clock.now(), 600.0)
        assert (expired.prediction.termination_reason, await store.waiting()) == (UNKNOWN_REASON, {})

    async def test_an_attempt_that_was_lost_here_counts_for_no_later_one(self, store: Store, maker: Maker) -> None:
        lost = await running(store, maker)
        await store.append_events(lost, [maker.said("one two"), maker.metric("n", 1)])
        await store.reap(await on_duty(store), maker.clock.now(), all_but="s2")
        maker.clock.advance(5)
        lease = (await claim_one(store, maker, "s2")).lease
        await bring_to(store, lease, SubmitState.SUBMITTED)
        await store.append_events(lease, [maker.said("three")])
        await store.release(lease, maker.clock.now())
        claimed = await claim_one(store, maker, "s2")
        assert claimed.recorded == Recorded(has_started=True, log_chars=5)

    @pytest.mark.parametrize("state", [SubmitState.INTENDED, SubmitState.SUBMITTED])
    @pytest.mark.parametrize("how", ["cancel", "deadline"])
    async def test_what_ends_while_nobody_holds_it_is_given_out_once_more(
        self, store: Store, maker: Maker, state: SubmitState, how: str
    ) -> None:
        lease = await running(store, maker, deadline_at=maker.clock.now() + timedelta(seconds=5))
        await bring_to(store, lease, state)
        await store.release(lease, maker.clock.now())
        if how == "deadline":
            maker.clock.advance(6)
            await store.expire(await on_duty(store), maker.clock.now(), 3600.0)
        else:
            await store.cancel(lease.prediction_id, None, maker.clock.now())
            maker.clock.advance(6)
        ended = await row_of(store, lease.prediction_id)
        assert (ended.status, await store.waiting()) == (Status.CANCELED, {VERSION: 1})
        claimed = await claim_one(store, maker, "s2")
        assert (claimed.prediction.status, claimed.prediction.handle) == (ended.status, ended.handle)
        assert await store.renew("s2", maker.clock.now(), LEASE_SECONDS) == [claimed.lease]
        assert not (await store.finish(claimed.lease, Fact.SUCCEEDED, maker.clock.now())).applied
        assert await store.get(ended.id) == ended
        assert (await kinds_of(store, ended.id)).count(EventKind.FINISHED) == 1
        assert await store.waiting() == {}
        assert await store.claim("s2", {VERSION: 1}, maker.clock.now()) == []

    @pytest.mark.parametrize("how", ["release", "reap", "expired session"])
    async def test_what_ended_and_was_not_canceled_elsewhere_waits_for_the_next(
        self, store: Store, maker: Maker, how: str
    ) -> None:
        lease = await running(store, maker)
        await bring_to(store, lease, SubmitState.SUBMITTED)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        if how == "release":
            await store.release(lease, maker.clock.now())
        elif how == "reap":
            assert await store.reap(await on_duty(store), maker.clock.now(), all_but="s2") == []
        else:
            maker.clock.advance(LEASE_SECONDS)
            assert await store.reap(await on_duty(store), maker.clock.now()) == []
        assert await store.waiting() == {VERSION: 1}
        claimed = await claim_one(store, maker, "s2")
        assert (claimed.prediction.status, claimed.lease.attempt) == (Status.CANCELED, lease.attempt)
        await store.record_unknown(claimed.lease)  # it cannot be found there, and is not searched for again
        await store.release(claimed.lease, maker.clock.now())
        assert await store.waiting() == {}

    @pytest.mark.parametrize("how", ["version", "queue time"])
    async def test_what_ended_and_cannot_be_canceled_elsewhere_goes(self, store: Store, maker: Maker, how: str) -> None:
        lease = await running(store, maker)
        await bring_to(store, lease, SubmitState.SUBMITTED)
        await store.release(lease, maker.clock.now())
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        ended = await row_of(store, lease.prediction_id)
        maker.clock.advance(ADOPTION_SECONDS)
        duty = await on_duty(store)
        if how == "version":
            assert await store.fail_waiting(duty, VERSION, maker.clock.now(), "gone", "gone") == []
        else:
            assert await store.expire(duty, maker.clock.now(), 5.0) == []
        assert (await store.waiting(), await store.get(ended.id)) == ({}, ended)

    async def test_an_upstream_prediction_is_not_run_again_alone(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.record_intent(lease, UPSTREAM)
        assert not (await store.run_again_alone(lease, maker.clock.now(), mark="no")).requeued
        assert (await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())).applied
