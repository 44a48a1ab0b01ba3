"""The contract of `WorkQueue.claim`: which predictions a worker gets."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from halley.errors import LeaseLost
from halley.keys.records import Account
from halley.predictions.ports import NewPrediction
from halley.predictions.queue import Claimed
from halley.predictions.status import Fact
from halley.store.ports import Store
from halley.testing.stores.maker import (
    LEASE_SECONDS,
    OTHER_VERSION,
    VERSION,
    Maker,
    StoreSuite,
    claim_one,
    leased,
    on_duty,
)


class ClaimSuite(StoreSuite):
    """Claims, one or many, and many waiting predictions."""

    async def claim(self, store: Store, maker: Maker, count: int, session_id: str = "s1") -> list[Claimed]:
        await store.open_session(session_id, maker.clock.now(), LEASE_SECONDS)
        return await store.claim(session_id, {VERSION: count}, maker.clock.now())

    async def claim_by_ones(self, store: Store, maker: Maker, count: int) -> list[str]:
        """The accounts in the order in which they are served."""
        taken = [await self.claim(store, maker, 1) for _ in range(count)]
        return [claimed.prediction.account_id for some in taken for claimed in some]

    async def fill(self, store: Store, maker: Maker, **counts: int) -> None:
        for account_id, count in counts.items():
            for _ in range(count):
                await store.create(maker.new(account_id))

    async def weigh(self, store: Store, maker: Maker, account_id: str, weight: int) -> None:
        account = Account(id=account_id, username=account_id, weight=weight, created_at=maker.clock.now())
        await store.put_account(account)


@pytest.mark.anyio
class ClaimContract(ClaimSuite):
    """Which predictions a worker may run."""

    async def test_a_claim_returns_the_created_prediction(self, store: Store, maker: Maker) -> None:
        created = (await store.create(maker.new())).prediction
        claimed = await claim_one(store, maker)
        assert claimed.lease.prediction_id == created.id
        assert (claimed.lease.session_id, claimed.lease.fence, claimed.lease.attempt) == ("s1", 1, 1)
        assert claimed.prediction.id == created.id
        assert (claimed.prediction.fence, claimed.prediction.attempts) == (1, 1)
        assert claimed.prediction.status is created.status
        assert claimed.work_input == created.input
        assert await store.waiting() == {}

    async def test_a_secret_input_is_claimed_in_clear_and_never_shown(self, store: Store, maker: Maker) -> None:
        prediction = maker.prediction(input=b'{"token":"***"}')
        await store.create(NewPrediction(prediction=prediction, work_input=b'{"token":"clear"}'))
        claimed = await claim_one(store, maker)
        assert claimed.work_input == b'{"token":"clear"}'
        assert claimed.prediction.input == b'{"token":"***"}'
        await store.release(claimed.lease, maker.clock.now())
        again = await claim_one(store, maker)
        assert again.work_input == b'{"token":"clear"}'
        ended = await store.finish(again.lease, Fact.FAILED, maker.clock.now())
        assert ended.prediction.input == b'{"token":"***"}'

    async def test_a_context_goes_with_the_work_through_every_attempt(self, store: Store, maker: Maker) -> None:
        context = b'{"trace":"7"}'
        await store.create(NewPrediction(prediction=maker.prediction(), context=context))
        claimed = await claim_one(store, maker)
        assert claimed.context == context
        await store.release(claimed.lease, maker.clock.now())
        again = await claim_one(store, maker)
        assert again.context == context
        await store.reap(await on_duty(store), maker.clock.now(), all_but="another", max_attempts=9)
        maker.clock.advance(3600)  # past the backoff
        assert (await claim_one(store, maker)).context == context

    async def test_work_without_a_context_has_none(self, store: Store, maker: Maker) -> None:
        await store.create(maker.new())
        assert (await claim_one(store, maker)).context is None

    async def test_credits_are_limits_for_each_version(self, store: Store, maker: Maker) -> None:
        for version in (VERSION, OTHER_VERSION):
            for _ in range(4):
                await store.create(maker.new(version=version))
        assert await store.waiting() == {VERSION: 4, OTHER_VERSION: 4}
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        claimed = await store.claim("s1", {VERSION: 3, OTHER_VERSION: 1, "c" * 64: 5}, maker.clock.now())
        assert Counter(item.prediction.version for item in claimed) == {VERSION: 3, OTHER_VERSION: 1}
        assert await store.waiting() == {VERSION: 1, OTHER_VERSION: 3}
        rest = await store.claim("s1", {VERSION: 9, OTHER_VERSION: 0}, maker.clock.now())
        assert [item.prediction.version for item in rest] == [VERSION]
        assert await store.waiting() == {OTHER_VERSION: 3}

    async def test_only_an_open_session_may_claim(self, store: Store, maker: Maker) -> None:
        await store.create(maker.new())
        with pytest.raises(LeaseLost):
            await store.claim("never", {VERSION: 1}, maker.clock.now())
        assert await store.waiting() == {VERSION: 1}

    async def test_nothing_is_claimed_twice(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, anna=20, bert=20)
        sessions = ["s1", "s2", "s3"]
        for session_id in sessions:
            await store.open_session(session_id, maker.clock.now(), LEASE_SECONDS)
        answers = await asyncio.gather(
            *[store.claim(session_id, {VERSION: 5}, maker.clock.now()) for session_id in sessions * 3]
        )
        ids = [item.lease.prediction_id for some in answers for item in some]
        assert len(ids) == 40
        assert len(set(ids)) == 40

    async def test_what_will_be_claimed_before_another_is_counted(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, ada=2, bob=3)
        mine = (await store.create(maker.new("ada"))).prediction
        first = (await store.create(maker.new("ada", priority=1))).prediction
        await store.create(maker.new("ada"))
        assert (store.waiting_before(mine), store.waiting_before(first)) == (3, 0)
        await self.claim(store, maker, 1)
        await self.claim(store, maker, 3)
        assert store.waiting_before(mine) < 3, "what is claimed does not wait"

    async def test_the_higher_priority_comes_first_and_then_the_older(self, store: Store, maker: Maker) -> None:
        names = {}
        for name, priority in (("low", -1), ("old", 0), ("young", 0), ("high", 5)):
            names[(await store.create(maker.new(priority=priority))).prediction.id] = name
        claimed = await self.claim(store, maker, 9)
        assert [names[item.lease.prediction_id] for item in claimed] == ["high", "old", "young", "low"]

    async def test_a_long_queue_takes_no_more_turns_than_a_short_one(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, anna=30, bert=6, carl=6)
        assert Counter(await self.claim_by_ones(store, maker, 18)) == {"anna": 6, "bert": 6, "carl": 6}
        assert await self.claim_by_ones(store, maker, 2) == ["anna", "anna"]

    async def test_one_large_claim_is_as_fair_as_many_small_ones(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, anna=30, bert=6, carl=2)
        claimed = await self.claim(store, maker, 14)
        counts = Counter(item.prediction.account_id for item in claimed)
        assert counts == {"anna": 6, "bert": 6, "carl": 2}

    async def test_weights_are_shares_of_turns(self, store: Store, maker: Maker) -> None:
        await self.weigh(store, maker, "carl", 2)
        await self.fill(store, maker, anna=30, bert=30, carl=30)
        assert Counter(await self.claim_by_ones(store, maker, 16)) == {"anna": 4, "bert": 4, "carl": 8}

    async def test_fair_turns_come_before_priority(self, store: Store, maker: Maker) -> None:
        for _ in range(6):
            await store.create(maker.new("anna", priority=9))
        await self.fill(store, maker, bert=6)
        assert Counter(await self.claim_by_ones(store, maker, 6)) == {"anna": 3, "bert": 3}

    async def test_turns_cannot_be_saved_up(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, anna=30)
        await self.claim_by_ones(store, maker, 20)
        await self.fill(store, maker, bert=10)
        counts = Counter(await self.claim_by_ones(store, maker, 8))
        assert abs(counts["anna"] - counts["bert"]) <= 1

    async def test_accounts_that_are_left_out_keep_their_turn(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, ada=3, bob=1)
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        some = await store.claim("s1", {VERSION: 4}, maker.clock.now(), but_of=frozenset({"ada"}))
        assert [claimed.prediction.account_id for claimed in some] == ["bob"]
        assert await store.waiting() == {VERSION: 3}
        assert len(await store.claim("s1", {VERSION: 4}, maker.clock.now())) == 3

    async def test_a_prediction_leased_at_its_create_is_not_claimed(self, store: Store, maker: Maker) -> None:
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        await store.create(NewPrediction(prediction=maker.prediction(), session_id="s1"))
        assert await self.claim(store, maker, 5, "s2") == []

    async def test_versions_have_their_own_turns(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, anna=4)
        await self.claim_by_ones(store, maker, 4)
        for account_id in ("anna", "bert"):
            for _ in range(2):
                await store.create(maker.new(account_id, version=OTHER_VERSION))
        claimed = await store.claim("s1", {OTHER_VERSION: 2}, maker.clock.now())
        assert {item.prediction.account_id for item in claimed} == {"anna", "bert"}

    async def test_a_prediction_past_its_deadline_is_not_claimed(self, store: Store, maker: Maker) -> None:
        await store.create(maker.new(deadline_at=maker.clock.now() + timedelta(seconds=5)))
        later = (await store.create(maker.new(deadline_at=maker.clock.now() + timedelta(seconds=50)))).prediction
        maker.clock.advance(6)
        claimed = await self.claim(store, maker, 5)
        assert [item.prediction.id for item in claimed] == [later.id]

    async def test_what_is_given_back_waits_again_and_the_attempt_does_not_count(
        self, store: Store, maker: Maker
    ) -> None:
        first = await leased(store, maker)
        await store.release(first, maker.clock.now())
        assert await store.waiting() == {VERSION: 1}
        again = await claim_one(store, maker)
        assert again.lease.prediction_id == first.prediction_id
        assert (again.lease.fence, again.lease.attempt) == (2, 1)

    async def test_backoff_is_respected(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.release(lease, maker.clock.now(), backoff_seconds=4.0)
        assert await self.claim(store, maker, 1) == []
        assert await store.waiting() == {VERSION: 1}
        maker.clock.advance(3.9)
        assert await self.claim(store, maker, 1) == []
        maker.clock.advance(0.2)
        assert len(await self.claim(store, maker, 1)) == 1

    async def test_a_prediction_in_backoff_delays_no_other(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.release(lease, maker.clock.now(), backoff_seconds=60.0)
        other = (await store.create(maker.new("bert"))).prediction
        assert (await claim_one(store, maker)).prediction.id == other.id

    async def test_a_lost_lease_releases_nothing(self, store: Store, maker: Maker) -> None:
        old = await leased(store, maker)
        await store.release(old, maker.clock.now())
        now = (await claim_one(store, maker, "s2")).lease
        await store.release(old, maker.clock.now())
        assert await store.waiting() == {}
        assert (await store.append_events(now, [maker.started()])).is_terminal is False

    async def test_what_ended_is_not_given_back(self, store: Store, maker: Maker) -> None:
        lease = await leased(store, maker)
        await store.cancel(lease.prediction_id, None, maker.clock.now())
        await store.release(lease, maker.clock.now())
        assert await store.waiting() == {}
        assert await self.claim(store, maker, 5) == []
        assert await store.renew("s1", maker.clock.now(), LEASE_SECONDS) == []


@pytest.mark.anyio
class TurnContract(ClaimSuite):
    """Turns that a store counts without a claim. Each node counts those that went through it."""

    async def test_leasing_at_the_create_counts_as_a_turn(self, store: Store, maker: Maker) -> None:
        await self.fill(store, maker, anna=9, bert=9, carl=9)
        await store.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        for _ in range(3):
            await store.create(NewPrediction(prediction=maker.prediction("anna"), session_id="s1"))
        assert Counter(await self.claim_by_ones(store, maker, 6)) == {"bert": 3, "carl": 3}
        assert Counter(await self.claim_by_ones(store, maker, 3)) == {"anna": 1, "bert": 1, "carl": 1}


@pytest.mark.anyio
class SharedTurnContract(ClaimSuite):
    """The contract of turns if several stores share a database: each divides its own claims fairly."""

    @pytest.fixture
    def nodes(self) -> tuple[Store, Store]:
        """Two stores on one database."""
        raise NotImplementedError

    async def test_a_turn_counts_at_the_node_where_it_was_taken(self, nodes: tuple[Store, Store], maker: Maker) -> None:
        here, there = nodes
        await self.fill(here, maker, anna=9, bert=9, carl=9)
        await here.open_session("s1", maker.clock.now(), LEASE_SECONDS)
        for _ in range(3):
            await here.create(NewPrediction(prediction=maker.prediction("anna"), session_id="s1"))
        assert Counter(await self.claim_by_ones(there, maker, 3)) == {"anna": 1, "bert": 1, "carl": 1}
        assert Counter(await self.claim_by_ones(here, maker, 6)) == {"bert": 3, "carl": 3}
        assert Counter(await self.claim_by_ones(here, maker, 3)) == {"anna": 1, "bert": 1, "carl": 1}

    async def test_weights_hold_at_every_node(self, nodes: tuple[Store, Store], maker: Maker) -> None:
        here, there = nodes
        await self.weigh(here, maker, "carl", 2)
        await self.fill(there, maker, anna=30, bert=30, carl=30)
        for node in nodes:
            assert Counter(await self.claim_by_ones(node, maker, 8)) == {"anna": 2, "bert": 2, "carl": 4}
