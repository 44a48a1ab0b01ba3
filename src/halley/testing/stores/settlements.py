"""The contract of `SettlementStore`: a prediction with an unknown outcome is continued by at most one other."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from halley.errors import Conflict, NotFound, QueueFull, WrongState
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.settlements import COMPARED_BYTES, SettledHow
from halley.predictions.status import EventKind, Fact, Status, SubmitState
from halley.predictions.submits import UNKNOWN_REASON, Recorded
from halley.store.ports import Store
from halley.testing.stores.maker import (
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

UPSTREAM = "upstream"


async def unknown(store: Store, maker: Maker, *, handle: str | None = None, **members: Any) -> Prediction:
    """A prediction that has ended with an unknown outcome."""
    lease = await leased(store, maker, **members)
    await store.record_intent(lease, UPSTREAM)
    if handle is not None:
        await store.record_handle(lease, handle)
    await store.record_unknown(lease)
    await store.finish(lease, Fact.FAILED, maker.clock.now(), error="lost", reason=UNKNOWN_REASON)
    return await row_of(store, lease.prediction_id)


def adopted(maker: Maker, handle: str = "h1", **members: Any) -> NewPrediction:
    """A prediction that continues another with this run."""
    return maker.new(provider=UPSTREAM, handle=handle, submit_state=SubmitState.SUBMITTED, **members)


@pytest.mark.anyio
class SettlementContract(StoreSuite):
    """Links between predictions."""

    async def test_a_run_is_adopted_and_the_two_are_linked(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        new = adopted(maker)
        settled = await store.settle(first.id, new, "adopted")
        assert settled.is_new
        assert settled.settlement.linked_id == new.prediction.id
        assert await store.settlements([first.id, new.prediction.id, "x"]) == {first.id: settled.settlement}
        after = await row_of(store, first.id)
        assert after == msgspec.structs.replace(first, revision=first.revision + 1)
        linked = await row_of(store, new.prediction.id)
        assert (linked.status, linked.submit_state, linked.handle) == (Status.STARTING, SubmitState.SUBMITTED, "h1")
        assert await store.held_handles(["h1"]) == {"h1"}
        assert (await kinds_of(store, first.id))[-1] is EventKind.LINKED
        link = {"how": "adopted", "prediction": linked.id, "is_first": True}
        assert data_of(await store.read_events(first.id), EventKind.LINKED) == [link]
        assert await kinds_of(store, linked.id) == [EventKind.CREATED, EventKind.LINKED]
        link = {"how": "adopted", "prediction": first.id, "is_first": False}
        assert data_of(await store.read_events(linked.id), EventKind.LINKED) == [link]
        claimed = await claim_one(store, maker)
        assert (claimed.prediction.id, claimed.recorded) == (linked.id, Recorded())  # its worker adopts the run
        await store.append_events(claimed.lease, [maker.started(), maker.output("hi")])
        ended = await store.finish(claimed.lease, Fact.SUCCEEDED, maker.clock.now())
        assert (ended.applied, ended.prediction.status) == (True, Status.SUCCEEDED)
        assert (await row_of(store, first.id)).status is Status.FAILED

    async def test_one_that_is_submitted_again_waits_like_a_new_one(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        await store.settle(first.id, maker.new(), "retried")
        claimed = await claim_one(store, maker)
        assert (claimed.recorded, claimed.prediction.submit_state) == (None, None)
        await store.record_intent(claimed.lease, UPSTREAM)

    @pytest.mark.parametrize("how", ["adopted", "retried", "found"])
    async def test_the_second_settlement_writes_nothing(self, store: Store, maker: Maker, how: SettledHow) -> None:
        first = await unknown(store, maker)
        settled = await store.settle(first.id, adopted(maker), "adopted")
        row, offset = await row_of(store, first.id), await store.newest_offset()
        second = adopted(maker, "h2")
        again = await store.settle(first.id, second, how)
        assert again == msgspec.structs.replace(settled, is_new=False)
        assert await store.get(second.prediction.id) is None
        assert (await store.newest_offset(), await store.waiting()) == (offset, {VERSION: 1})
        assert await row_of(store, first.id) == row

    async def test_of_many_at_the_same_time_one_is_new(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        made = [adopted(maker, f"h{n}") for n in range(9)]
        settled = await asyncio.gather(*[store.settle(first.id, new, "adopted") for new in made])
        assert [one.is_new for one in settled].count(True) == 1
        assert len({one.settlement.linked_id for one in settled}) == 1
        assert await store.waiting() == {VERSION: 1}

    async def test_the_run_of_another_prediction_is_refused(self, store: Store, maker: Maker) -> None:
        other = await running(store, maker)
        await store.record_intent(other, UPSTREAM)
        await store.record_handle(other, "h1")
        first = await unknown(store, maker)
        new = adopted(maker)
        with pytest.raises(Conflict, match=other.prediction_id):
            await store.settle(first.id, new, "adopted")
        assert (await store.get(new.prediction.id), await store.settlements([first.id])) == (None, {})
        elsewhere = maker.new(provider="b", handle="h1", submit_state=SubmitState.SUBMITTED)
        assert (await store.settle(first.id, elsewhere, "adopted")).is_new  # each provider has its own names

    async def test_its_own_run_and_those_it_continues_are_allowed(self, store: Store, maker: Maker) -> None:
        other, first = await unknown(store, maker), await unknown(store, maker, handle="h1")
        await store.settle(first.id, adopted(maker), "adopted")
        lease = (await claim_one(store, maker)).lease
        await store.record_unknown(lease)
        await store.finish(lease, Fact.FAILED, maker.clock.now(), reason=UNKNOWN_REASON)
        third = await store.settle(lease.prediction_id, adopted(maker), "adopted")
        assert third.is_new
        with pytest.raises(Conflict):
            await store.settle(other.id, adopted(maker), "adopted")

    async def test_only_an_unknown_outcome_is_settled(self, store: Store, maker: Maker) -> None:
        with pytest.raises(NotFound):
            await store.settle("0" * 26, adopted(maker), "adopted")
        lease = await running(store, maker)
        with pytest.raises(WrongState):
            await store.settle(lease.prediction_id, adopted(maker), "adopted")
        await store.record_intent(lease, UPSTREAM)
        await store.record_unknown(lease)
        with pytest.raises(WrongState):  # it has not ended yet
            await store.settle(lease.prediction_id, adopted(maker), "adopted")
        await store.finish(lease, Fact.FAILED, maker.clock.now())
        assert (await store.settle(lease.prediction_id, adopted(maker), "adopted")).is_new

    async def test_a_full_queue_links_nothing(self, small_store: Store, maker: Maker) -> None:
        first = await unknown(small_store, maker)
        for _ in range(2):
            await small_store.create(maker.new())
        with pytest.raises(QueueFull):
            await small_store.settle(first.id, adopted(maker), "adopted")
        assert await small_store.settlements([first.id]) == {}

    async def test_settled_ones_leave_the_list(self, store: Store, maker: Maker) -> None:
        first, other = await unknown(store, maker), await unknown(store, maker)
        await store.settle(first.id, maker.new(), "retried")
        assert await store.count_unknown() == {UPSTREAM: 1}
        assert [row.id for row in await store.list_unknown(9)] == [other.id]
        assert [row.id for row in await store.list_unknown(9, with_settled=True)] == [other.id, first.id]

    async def test_what_has_no_clear_answer_is_listed_with_its_input(self, store: Store, maker: Maker) -> None:
        before = maker.clock.now()
        first, settled = await unknown(store, maker, input=b'{"n":1}'), await unknown(store, maker)
        large = await unknown(store, maker, input=b'{"n":"%s"}' % (b"a" * COMPARED_BYTES))
        lease = await leased(store, maker)
        await store.record_intent(lease, UPSTREAM)
        await store.settle(settled.id, adopted(maker), "found")
        listed = await store.unclear(UPSTREAM, before, 9)
        assert [(row.id, row.input) for row in listed] == [
            (first.id, b'{"n":1}'),
            (large.id, b""),
            (lease.prediction_id, b'{"text":"hello"}'),
        ]
        assert [row.id for row in await store.unclear(UPSTREAM, before, 1)] == [first.id]
        later = maker.clock.now() + timedelta(seconds=1)
        assert [row.id for row in await store.unclear(UPSTREAM, later, 9)] == [lease.prediction_id]
        assert await store.unclear("b", before, 9) == []

    async def test_one_whose_run_was_found_is_not_looked_for_again(self, store: Store, maker: Maker) -> None:
        before = maker.clock.now()
        found, retried = await unknown(store, maker, handle="h1"), await unknown(store, maker)
        await store.settle(found.id, adopted(maker), "found")
        again = maker.new()
        await store.settle(retried.id, again, "retried")
        for _ in range(2):
            lease = (await claim_one(store, maker)).lease
            if lease.prediction_id == again.prediction.id:
                await store.record_intent(lease, UPSTREAM)
            await store.record_unknown(lease)
            await store.finish(lease, Fact.FAILED, maker.clock.now(), reason=UNKNOWN_REASON)
        assert [row.id for row in await store.unclear(UPSTREAM, before, 9)] == [again.prediction.id]

    async def test_the_link_stays_when_the_data_is_removed(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        await store.settle(first.id, adopted(maker), "adopted")
        await store.remove_data([first.id], maker.clock.now())
        assert (await store.read_events(first.id))[-2].kind is EventKind.LINKED
        assert first.id in await store.settlements([first.id])

    async def test_a_repeated_create_is_not_taken_for_one_that_continues(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        await store.settle(first.id, maker.new(), "retried")
        wanted = maker.prediction()
        equal = await store.find_equal(wanted, first.created_at, maker.clock.now())
        assert [row.id for row in equal] == [first.id]

    async def test_its_run_is_looked_for_after_the_loss_of_a_worker(self, store: Store, maker: Maker) -> None:
        first = await unknown(store, maker)
        new = adopted(maker)
        await store.settle(first.id, new, "adopted")
        await claim_one(store, maker, "s9")
        (reaped,) = await store.reap(await on_duty(store), maker.clock.now(), all_but="other")
        assert (reaped.prediction.id, reaped.requeued) == (new.prediction.id, True)
        assert (await row_of(store, new.prediction.id)).handle == "h1"
