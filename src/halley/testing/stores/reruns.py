"""The contract of `RerunStore`: a rerun and its link are one, and links lead to predictions of the account only."""

from datetime import timedelta

import msgspec
import pytest

from halley.errors import QueueFull
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.status import EventKind
from halley.store.ports import Store
from halley.testing.stores.maker import SMALL, Maker, StoreSuite, claim_one, kinds_of, row_of
from halley.testing.stores.settlements import unknown


async def links(store: Store, prediction_id: str, account_id: str = "anna", **more: int) -> list[tuple[str, str]]:
    """The kinds and ids of what it is linked to."""
    found = await store.related(prediction_id, account_id, **more)
    return [(one.kind, one.prediction.id) for one in found]


@pytest.mark.anyio
class RerunContract(StoreSuite):
    """Predictions that run another one again."""

    async def test_a_rerun_is_a_new_prediction_that_is_linked(self, store: Store, maker: Maker) -> None:
        first = (await store.create(maker.new())).prediction
        assert await links(store, first.id) == []
        created = await store.rerun(maker.new(input=b'{"text":"bye"}'), first.id)
        again = created.prediction
        assert (created.replayed, created.lease) == (False, None)
        assert await row_of(store, again.id) == again
        assert await kinds_of(store, again.id) == [EventKind.CREATED]
        assert await links(store, first.id) == [("rerun", again.id)]
        (found,) = await store.related(again.id, "anna")
        assert (found.kind, found.prediction.id, found.at, found.how) == ("rerun_of", first.id, again.created_at, None)
        assert found.prediction.input == b"{}"  # an outline

    async def test_a_rerun_can_be_leased_from_the_start(self, store: Store, maker: Maker) -> None:
        first = (await store.create(maker.new())).prediction
        await claim_one(store, maker)
        created = await store.rerun(msgspec.structs.replace(maker.new(), session_id="s1"), first.id)
        assert created.lease is not None
        assert created.lease.session_id == "s1"

    async def test_reruns_of_reruns_and_settlements_are_listed_in_order(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        by = (await store.settle(first.id, maker.new(), "retried")).settlement.linked_id
        made = [(await store.rerun(maker.new(), first.id)).prediction.id for _ in range(3)]
        last = (await store.rerun(maker.new(), made[0])).prediction.id
        reruns = [("rerun", one) for one in reversed(made)]
        assert await links(store, first.id) == [*reruns, ("continued_by", by)]
        assert await links(store, first.id, limit=2) == [*reruns[:2], ("continued_by", by)]
        assert await links(store, made[0]) == [("rerun_of", first.id), ("rerun", last)]
        assert [(one.kind, one.how) for one in await store.related(by, "anna")] == [("continues", "retried")]

    async def test_links_show_nothing_to_another_account(self, store: Store, maker: Maker) -> None:
        first = (await store.create(maker.new())).prediction
        again = (await store.rerun(maker.new(), first.id)).prediction
        assert await links(store, first.id, "bert") == await links(store, again.id, "bert") == []
        assert await links(store, "x" * 26) == []

    async def test_a_refused_rerun_leaves_no_link(self, small_store: Store, maker: Maker) -> None:
        first = (await small_store.create(maker.new())).prediction
        for _ in range(SMALL.per_account - 1):
            await small_store.rerun(maker.new(), first.id)
        before = await links(small_store, first.id)
        with pytest.raises(QueueFull):
            await small_store.rerun(maker.new(), first.id)
        assert await links(small_store, first.id) == before

    async def test_an_idempotency_key_makes_one_rerun(self, store: Store, maker: Maker) -> None:
        first = (await store.create(maker.new())).prediction
        key = IdempotencyKey(key="k", digest=b"d", expires_at=maker.clock.now() + timedelta(hours=1))
        made = [await store.rerun(msgspec.structs.replace(maker.new(), idempotency=key), first.id) for _ in range(2)]
        assert [one.replayed for one in made] == [False, True]
        assert len({one.prediction.id for one in made}) == 1
        assert await links(store, first.id) == [("rerun", made[0].prediction.id)]

    async def test_a_rerun_is_no_repeat_of_a_create(self, store: Store, maker: Maker) -> None:
        first = (await store.create(maker.new())).prediction
        again = (await store.rerun(maker.new(), first.id)).prediction
        equal = await store.find_equal(again, first.created_at, again.created_at)
        assert [row.id for row in equal] == [first.id]
