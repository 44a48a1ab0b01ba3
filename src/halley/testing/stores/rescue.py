"""The contract of ends that no holder reports: lost sessions, deadlines, versions that cannot run."""

from datetime import timedelta

import pytest

from halley.predictions.status import EventKind, Fact, Status
from halley.store.ports import Store
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    OTHER_VERSION,
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

DAY = 86_400.0


@pytest.mark.anyio
class RescueContract(StoreSuite):
    """Nothing is lost and nothing stays forever."""

    async def test_a_session_has_its_time(self, store: Store, maker: Maker) -> None:
        await running(store, maker)
        maker.clock.advance(LEASE_SECONDS - 0.01)
        assert await store.reap(await on_duty(store), maker.clock.now()) == []
        maker.clock.advance(0.01)
        assert len(await store.reap(await on_duty(store), maker.clock.now())) == 1

    async def test_lost_work_waits_again_behind_a_mark(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.said("before\n"), maker.metric("tokens", 3, "incr")])
        maker.clock.advance(LEASE_SECONDS + 1)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now())
        assert reaped.requeued
        assert reaped.prediction == await store.get(lease.prediction_id)
        assert reaped.prediction.status is Status.PROCESSING
        assert await store.waiting() == {VERSION: 1}
        (mark,) = data_of(await store.read_events(lease.prediction_id), EventKind.ATTEMPT_LOST)
        assert "attempt 2" in mark
        await store.open_session("s2", maker.clock.now(), LEASE_SECONDS)
        assert await store.claim("s2", {VERSION: 1}, maker.clock.now()) == []  # not at once
        maker.clock.advance(5)
        again = await claim_one(store, maker, "s2")
        assert (again.lease.fence, again.lease.attempt) == (2, 2)
        events = [maker.started(), maker.said("after\n"), maker.metric("tokens", 3, "incr"), maker.output(7)]
        done = await store.finish(again.lease, Fact.SUCCEEDED, maker.clock.now(), events=events)
        assert (done.prediction.output, done.prediction.attempts) == (b"7", 2)
        assert done.prediction.metrics["tokens"] == 3, "each attempt counts anew"
        assert done.prediction.logs == f"before\n{mark}after\n"

    async def test_what_was_leased_and_not_started_waits_again(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="new")
        assert reaped.requeued
        assert (await row_of(store, lease.prediction_id)).status is Status.STARTING

    async def test_a_published_prediction_is_not_run_again(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.append_events(lease, [maker.part("a"), maker.said("x")])
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="new")
        row = await row_of(store, lease.prediction_id)
        assert (reaped.requeued, reaped.prediction) == (False, row)
        assert (row.status, row.termination_reason, row.output, row.logs) == (
            Status.FAILED,
            "worker_lost",
            b'["a"]',
            "x",
        )
        assert (row.error or "").startswith("The worker that ran this prediction was lost")
        assert await store.waiting() == {}
        assert (await kinds_of(store, row.id))[-1] is EventKind.FINISHED

    async def test_there_are_two_attempts_and_no_more(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.reap(await on_duty(store), maker.clock.now(), all_but="s2")
        maker.clock.advance(10)
        await claim_one(store, maker, "s2")
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="s3")
        assert not reaped.requeued
        row = await row_of(store, lease.prediction_id)
        assert (row.status, row.termination_reason, row.attempts) == (Status.FAILED, "worker_lost", 2)
        assert await store.reap(await on_duty(store), maker.clock.now(), all_but="s4") == []

    @pytest.mark.parametrize(("most", "requeued"), [(1, False), (3, True)])
    async def test_the_number_of_attempts_can_be_chosen(
        self, store: Store, maker: Maker, most: int, requeued: bool
    ) -> None:
        await running(store, maker)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="new", max_attempts=most)
        assert reaped.requeued is requeued

    async def test_one_session_can_be_spared(self, store: Store, maker: Maker) -> None:
        mine, other = await running(store, maker, "mine"), await running(store, maker, "other")
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="mine")
        assert reaped.prediction.id == other.prediction_id
        assert (await store.finish(mine, Fact.SUCCEEDED, maker.clock.now())).applied

    async def test_what_ended_is_not_reaped(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        row = await store.get(lease.prediction_id)
        assert await store.reap(await on_duty(store), maker.clock.now(), all_but="new") == []
        assert await store.get(lease.prediction_id) == row
        assert await store.waiting() == {}

    async def test_many_can_be_reaped(self, store: Store, maker: Maker) -> None:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        for _ in range(450):
            await store.create(maker.new())
        assert len(await store.claim("s1", {VERSION: 450}, maker.clock.now())) == 450
        reaped = await store.reap(await on_duty(store), maker.clock.now(), all_but="s2")
        assert len({item.prediction.id for item in reaped if item.requeued}) == 450
        assert await store.waiting() == {VERSION: 450}

    async def test_a_deadline_before_the_start_aborts(self, store: Store, maker: Maker) -> None:
        deadline = maker.clock.now() + timedelta(seconds=5)
        waits = (await store.create(maker.new(deadline_at=deadline))).prediction
        maker.clock.advance(4)
        assert await store.expire(await on_duty(store), maker.clock.now(), DAY) == []
        maker.clock.advance(2)
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), DAY)
        row = await row_of(store, waits.id)
        assert (expired.prediction, expired.was_leased) == (row, False)
        assert (row.status, row.termination_reason, row.error) == (Status.ABORTED, "deadline_before_start", None)
        assert await store.waiting() == {}
        assert await store.expire(await on_duty(store), maker.clock.now(), DAY) == []

    async def test_a_deadline_in_the_run_cancels(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker, deadline_at=maker.clock.now() + timedelta(seconds=5))
        await store.append_events(lease, [maker.part("a")])
        maker.clock.advance(6)
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), DAY)
        row = await row_of(store, lease.prediction_id)
        assert (expired.prediction, expired.was_leased) == (row, True)
        assert (row.status, row.termination_reason, row.output) == (Status.CANCELED, "deadline", b'["a"]')
        assert (await store.append_events(lease, [maker.part("b")])).is_terminal
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == [lease]
        assert not (await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())).applied

    async def test_what_ended_in_time_has_no_deadline(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker, deadline_at=maker.clock.now() + timedelta(seconds=5))
        await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        maker.clock.advance(6)
        assert await store.expire(await on_duty(store), maker.clock.now(), DAY) == []

    async def test_waiting_has_a_limit(self, store: Store, maker: Maker) -> None:
        held = await running(store, maker)
        waits = (await store.create(maker.new())).prediction
        maker.clock.advance(30)
        young = (await store.create(maker.new())).prediction
        maker.clock.advance(40)
        assert await store.expire(await on_duty(store), maker.clock.now(), 100) == []
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), 60)
        assert expired.prediction == await row_of(store, waits.id)
        assert (expired.was_leased, expired.prediction.status) == (False, Status.ABORTED)
        assert expired.prediction.termination_reason == "queue_time"
        assert (await row_of(store, young.id)).status is Status.STARTING
        assert (await row_of(store, held.prediction_id)).status is Status.PROCESSING
        assert await store.waiting() == {VERSION: 1}

    async def test_a_second_attempt_that_never_comes_fails(self, store: Store, maker: Maker) -> None:
        lease = await running(store, maker)
        await store.reap(await on_duty(store), maker.clock.now(), all_but="new")
        maker.clock.advance(70)
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), 60)
        assert expired.prediction.id == lease.prediction_id
        assert expired.prediction.status is Status.FAILED
        assert "max_queue_seconds" in (expired.prediction.error or "")

    async def test_many_can_expire(self, store: Store, maker: Maker) -> None:
        for _ in range(450):
            await store.create(maker.new())
        maker.clock.advance(100)
        expired = await store.expire(await on_duty(store), maker.clock.now(), 60)
        assert len({item.prediction.id for item in expired}) == 450
        assert await store.waiting() == {}

    async def test_what_waits_for_a_broken_version_fails(self, store: Store, maker: Maker) -> None:
        held = await running(store, maker)
        waits = [(await store.create(maker.new(account))).prediction.id for account in ("anna", "bert")]
        other = (await store.create(maker.new(version=OTHER_VERSION))).prediction
        failed = await store.fail_waiting(
            await on_duty(store), VERSION, maker.clock.now(), "setup broke", "setup_failed"
        )
        assert {row.id for row in failed} == set(waits)
        for row in failed:
            assert row == await store.get(row.id)
            assert (row.status, row.error, row.termination_reason) == (Status.FAILED, "setup broke", "setup_failed")
        assert (await row_of(store, held.prediction_id)).status is Status.PROCESSING
        assert await store.get(other.id) == other
        assert await store.waiting() == {OTHER_VERSION: 1}
        assert await store.model_waited_for(VERSION) is None  # one runs, and none waits
        assert await store.model_waited_for(OTHER_VERSION) == other.model
        assert await store.fail_waiting(await on_duty(store), VERSION, maker.clock.now(), "x", "x") == []
