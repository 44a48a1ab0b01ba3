"""The contract of a store when the wall clock is set: only the store must react."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from halley.keys.records import SignIn
from halley.predictions.ports import NewPrediction
from halley.predictions.queue import Claimed
from halley.store.ports import Store
from halley.testing.clock import T0
from halley.testing.stores.maker import LEASE_SECONDS, VERSION, Maker, StoreSuite, on_duty, row_of, running
from halley.testing.stores.repeats import LIFE_SECONDS, under

DAY = 86_400.0
LEAPS = [DAY, -DAY, 100.0, -100.0]
SOON = timedelta(seconds=200)

Restart = Callable[[Store], Awaitable[Store]]


@pytest.mark.anyio
class WallClockContract(StoreSuite):
    """Time spans keep their length. Provide `restart`: the same data, opened by another process."""

    @pytest.fixture
    def restart(self) -> Restart:
        raise NotImplementedError

    @pytest.mark.parametrize("by", LEAPS)
    async def test_deadlines_follow(self, store: Store, maker: Maker, by: float) -> None:
        lease = await running(store, maker, deadline_at=maker.clock.now() + timedelta(seconds=300))
        before = (await store.create(maker.new(deadline_at=maker.clock.now() + timedelta(seconds=300)))).prediction
        free = (await store.create(maker.new())).prediction
        maker.clock.advance(100)
        late = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        maker.clock.jump(by)
        since = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        maker.clock.advance(0.4)
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == []
        moved = await row_of(store, before.id)
        assert moved.deadline_at == (before.deadline_at or T0) + timedelta(seconds=by)
        assert moved.revision > before.revision, "it is shown"
        assert (await row_of(store, since.id)).deadline_at == since.deadline_at
        assert await store.get(free.id) == free
        maker.clock.advance(199)
        assert await store.expire(await on_duty(store), maker.clock.now(), 10 * DAY) == []
        maker.clock.advance(1)
        expired = await store.expire(await on_duty(store), maker.clock.now(), 10 * DAY)
        assert {item.prediction.id for item in expired} == {lease.prediction_id, before.id, late.id, since.id}

    @pytest.mark.parametrize("late_seconds", [0.4, 1.5, 30.0])
    @pytest.mark.parametrize("by", [*LEAPS, 3.0, -3.0])
    async def test_later_predictions_are_not_changed(
        self, store: Store, maker: Maker, by: float, late_seconds: float
    ) -> None:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        old = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        maker.clock.jump(by)
        new = [(await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction]
        maker.clock.advance(late_seconds)
        new.append((await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction)
        assert await store.expire(await on_duty(store), maker.clock.now(), 10 * DAY) == []
        assert (await row_of(store, old.id)).deadline_at == (old.deadline_at or T0) + timedelta(seconds=by)
        for each in new:
            assert (await row_of(store, each.id)).deadline_at == each.deadline_at

    @pytest.mark.parametrize("by", [*LEAPS, 3.0, -3.0])
    async def test_a_clock_change_that_is_noticed_late_is_followed(self, store: Store, maker: Maker, by: float) -> None:
        old = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        maker.clock.jump(by)
        maker.clock.advance(60)
        new = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        assert (await row_of(store, old.id)).deadline_at == (old.deadline_at or T0) + timedelta(seconds=by)
        assert (await row_of(store, new.id)).deadline_at == new.deadline_at

    @pytest.mark.parametrize("by", LEAPS)
    async def test_a_create_that_was_on_its_way_keeps_its_deadline_and_can_be_claimed(
        self, store: Store, maker: Maker, by: float
    ) -> None:
        on_its_way: NewPrediction = maker.new(deadline_at=maker.clock.now() + SOON)
        maker.clock.jump(by)
        made = (await store.create(on_its_way)).prediction
        row = await row_of(store, made.id)
        assert row.deadline_at == (on_its_way.prediction.deadline_at or T0) + timedelta(seconds=by)
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        assert len(await store.claim("s1", {VERSION: 1}, maker.clock.now())) == 1
        maker.clock.advance(199)
        assert await store.expire(await on_duty(store), maker.clock.now(), 10 * DAY) == []
        maker.clock.advance(1)
        assert len(await store.expire(await on_duty(store), maker.clock.now(), 10 * DAY)) == 1

    @pytest.mark.parametrize("by", LEAPS)
    async def test_a_caller_that_read_the_clock_before_it_was_set_does_no_harm(
        self, store: Store, maker: Maker, by: float
    ) -> None:
        lease = await running(store, maker, deadline_at=maker.clock.now() + SOON)
        before = maker.clock.now()
        maker.clock.jump(by)
        assert await store.expire(await on_duty(store), before, 10 * DAY) == []
        assert await store.reap(await on_duty(store), before) == []
        assert await store.renew("s1", before, LEASE_SECONDS) == []
        maker.clock.advance(LEASE_SECONDS - 0.01)
        assert await store.reap(await on_duty(store), maker.clock.now()) == []
        maker.clock.advance(0.01)
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now())
        assert reaped.prediction.id == lease.prediction_id

    @pytest.mark.parametrize("by", LEAPS)
    async def test_a_lease_keeps_its_length(self, store: Store, maker: Maker, by: float) -> None:
        await running(store, maker)
        maker.clock.jump(by)
        maker.clock.advance(LEASE_SECONDS - 0.01)
        assert await store.reap(await on_duty(store), maker.clock.now()) == []
        maker.clock.advance(0.01)
        assert len(await store.reap(await on_duty(store), maker.clock.now())) == 1

    @pytest.mark.parametrize("by", LEAPS)
    async def test_an_idempotency_key_keeps_its_length(self, store: Store, maker: Maker, by: float) -> None:
        first = (await store.create(under(maker, "k"))).prediction
        before = maker.clock.now()
        maker.clock.jump(by)
        assert await store.forget_idempotency_keys(before, 9) == 0
        assert (await store.create(under(maker, "k"))).prediction == first, "a repeat runs nothing"
        maker.clock.advance(LIFE_SECONDS - 0.01)
        assert await store.forget_idempotency_keys(maker.clock.now(), 9) == 0
        assert await store.made_under("anna", "k", maker.clock.now()) is not None
        maker.clock.advance(0.01)
        assert await store.made_under("anna", "k", maker.clock.now()) is None
        assert await store.forget_idempotency_keys(maker.clock.now(), 9) == 1

    @pytest.mark.parametrize("by", LEAPS)
    async def test_a_sign_in_keeps_its_length(self, store: Store, maker: Maker, by: float) -> None:
        made, ends = maker.clock.now(), maker.clock.now() + SOON
        await store.put_sign_in(SignIn(digest=b"d", key_id="k", created_at=made, ends_at=ends))
        maker.clock.jump(by)
        await store.create(maker.new())
        found = await store.find_sign_in(b"d")
        assert found is not None
        assert (found.created_at - made, found.ends_at - ends) == (timedelta(seconds=by), timedelta(seconds=by))

    @pytest.mark.parametrize("by", LEAPS)
    async def test_who_is_ready_stays_ready(self, store: Store, maker: Maker, by: float) -> None:
        lease = await running(store, maker)
        await store.release(lease, maker.clock.now(), backoff_seconds=5)
        await store.create(maker.new())
        maker.clock.advance(10)
        maker.clock.jump(by)
        await store.create(maker.new())
        assert len(await store.claim("s1", {VERSION: 9}, maker.clock.now())) == 3

    @pytest.mark.parametrize("by", LEAPS)
    async def test_a_prediction_in_backoff_stays_in_backoff(self, store: Store, maker: Maker, by: float) -> None:
        lease = await running(store, maker)
        await store.release(lease, maker.clock.now(), backoff_seconds=5)
        maker.clock.advance(1)
        maker.clock.jump(by)
        assert await store.claim("s1", {VERSION: 9}, maker.clock.now()) == []
        maker.clock.advance(4)
        assert len(await store.claim("s1", {VERSION: 9}, maker.clock.now())) == 1

    @pytest.mark.parametrize("by", LEAPS)
    async def test_waiting_times_count_elapsed_time(self, store: Store, maker: Maker, by: float) -> None:
        old = (await store.create(maker.new())).prediction
        maker.clock.advance(30)
        middle = (await store.create(maker.new())).prediction
        maker.clock.jump(by)
        assert await store.expire(await on_duty(store), maker.clock.now(), 60) == []
        maker.clock.advance(20)
        young = (await store.create(maker.new())).prediction
        for seconds in 0.5, 8.5:  # where ids do not increase, a store only knows the time between two looks
            maker.clock.advance(seconds)
            assert await store.expire(await on_duty(store), maker.clock.now(), 60) == []
        for each, seconds in (old, 1.5), (middle, 30), (young, 20):
            maker.clock.advance(seconds)
            (expired,) = await store.expire(await on_duty(store), maker.clock.now(), 60)
            assert expired.prediction.id == each.id
            assert expired.prediction.termination_reason == "queue_time"

    @pytest.mark.parametrize("by", [None, *LEAPS])
    async def test_a_claim_returns_the_waiting_time(self, store: Store, maker: Maker, by: float | None) -> None:
        await store.create(maker.new())
        maker.clock.advance(30)
        if by is not None:
            maker.clock.jump(by)
        await store.create(maker.new())
        maker.clock.advance(60)
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        old, young = await store.claim("s1", {VERSION: 2}, maker.clock.now())
        assert [round(each.waited_seconds, 1) for each in (old, young)] == [90.0, 60.0]

    @pytest.mark.parametrize("by", [None, DAY, -DAY])
    async def test_another_process_knows_the_waiting_time(
        self, store: Store, maker: Maker, restart: Restart, by: float | None
    ) -> None:
        old = (await store.create(maker.new())).prediction
        maker.clock.advance(30)
        if by is not None:
            maker.clock.jump(by)
        maker.clock.advance(10)
        await store.expire(await on_duty(store), maker.clock.now(), DAY)
        store = await restart(store)
        assert await store.expire(await on_duty(store), maker.clock.now(), 45) == []
        maker.clock.advance(10)
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), 45)
        assert expired.prediction.id == old.id

    async def test_a_clock_set_back_while_no_process_ran_delays_nothing(
        self, store: Store, maker: Maker, restart: Restart
    ) -> None:
        lease = await running(store, maker, deadline_at=maker.clock.now() + timedelta(seconds=300))
        await store.release(lease, maker.clock.now(), backoff_seconds=5)
        maker.clock.advance(100)
        maker.clock.jump(-DAY)
        store = await restart(store)
        await store.open_session("s2", maker.clock.now(), LEASE_SECONDS)
        assert await store.reap(await on_duty(store), maker.clock.now(), all_but="s2") == []
        assert len(await store.claim("s2", {VERSION: 9}, maker.clock.now())) == 1
        maker.clock.advance(299)
        assert await store.expire(await on_duty(store), maker.clock.now(), DAY) == []
        maker.clock.advance(1)
        assert len(await store.expire(await on_duty(store), maker.clock.now(), DAY)) == 1

    async def test_a_change_in_small_steps_is_not_followed(self, store: Store, maker: Maker) -> None:
        made = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        for _ in range(5):
            maker.clock.jump(1.9)
            for _ in range(2):  # two stores may share the database, and each must look between two steps
                await store.renew("s1", maker.clock.now(), LEASE_SECONDS)
        assert await store.get(made.id) == made

    async def test_time_that_the_machine_slept_has_passed(self, store: Store, maker: Maker) -> None:
        made = (await store.create(maker.new(deadline_at=maker.clock.now() + SOON))).prediction
        maker.clock.suspend(199)
        assert await store.expire(await on_duty(store), maker.clock.now(), DAY) == []
        maker.clock.suspend(2)
        (expired,) = await store.expire(await on_duty(store), maker.clock.now(), DAY)
        assert expired.prediction.id == made.id
        waits: Claimed | None = None
        await store.create(maker.new())
        maker.clock.suspend(50)
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        (waits,) = await store.claim("s1", {VERSION: 1}, maker.clock.now())
        assert round(waits.waited_seconds) == 50
