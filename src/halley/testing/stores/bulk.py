"""The contract of `BulkStore`: the set is fixed, one process carries it out, each item gets one outcome."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from halley.bulk.ports import MOST_RUNNING, BulkHolder
from halley.bulk.records import BulkAction, BulkItem, BulkKind, BulkOutcome, BulkState, ItemResult, TakenItem
from halley.errors import Conflict, KeyReused, QueueFull
from halley.store.ports import Store
from halley.testing.stores.maker import LEASE_SECONDS, SMALL, Maker, StoreSuite

FIRST: Final = BulkHolder(id="first", lease_seconds=LEASE_SECONDS)
SECOND: Final = BulkHolder(id="second", lease_seconds=LEASE_SECONDS)


def action(maker: Maker, account_id: str = "anna", **members: Any) -> BulkAction:
    """A new action, with a filter."""
    maker.clock.advance(0.001)
    given: dict[str, Any] = {"kind": BulkKind.RERUN, "filter": {"status": "failed"}, "link_base": "http://h"} | members
    return BulkAction(
        id=maker.new_id(), account_id=account_id, key_id="k", created_at=maker.clock.now(), total=0, **given
    )


async def predictions(store: Store, maker: Maker, count: int = 3) -> list[str]:
    """The ids of new predictions."""
    return [(await store.create(maker.new())).prediction.id for _ in range(count)]


async def put(store: Store, maker: Maker, ids: Sequence[str] = ("p0", "p1", "p2"), **members: Any) -> BulkAction:
    """A stored action on these predictions."""
    return await store.put_bulk_action(action(maker, **members), ids)


async def take(store: Store, maker: Maker, made: BulkAction, holder: BulkHolder = FIRST, limit: int = 9) -> Any:
    """The positions of the items that the holder may carry out; None if it may none."""
    taken = await store.take_bulk_items(made.id, holder, maker.clock.now(), limit)
    return None if taken is None else [item.position for item in taken]


def result(position: int, outcome: BulkOutcome = BulkOutcome.DONE, reason: str | None = None) -> ItemResult:
    return ItemResult(position=position, outcome=outcome, reason=reason)


async def now(store: Store, made: BulkAction) -> BulkAction:
    """The action as it is stored."""
    found = await store.bulk_action(made.id)
    assert found is not None
    return found


@pytest.mark.anyio
class BulkContract(StoreSuite):
    """Actions on many predictions."""

    async def test_an_action_is_stored_with_its_set(self, store: Store, maker: Maker) -> None:
        new = action(maker)
        made = await store.put_bulk_action(new, ["p0", "p1"])
        assert made == msgspec.structs.replace(new, total=2)
        assert (made.state, made.remaining) == (BulkState.RUNNING, 2)
        assert await store.bulk_action(made.id, "anna") == await store.bulk_action(made.id) == made
        assert await store.bulk_action(made.id, "bert") is None
        assert await store.bulk_action("x") is None
        items = [BulkItem(position=0, prediction_id="p0"), BulkItem(position=1, prediction_id="p1")]
        assert await store.bulk_items(made.id, 9) == items
        assert await store.bulk_items(made.id, 1, after=0) == items[1:]
        assert await store.running_bulk_actions() == [made]
        named = await put(store, maker, filter=None, kind=BulkKind.CANCEL, link_base=None)
        assert await now(store, named) == named

    async def test_an_empty_set_is_finished_at_once(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker, ())
        assert (made.state, made.ended_at, made.total) == (BulkState.FINISHED, made.created_at, 0)
        assert await store.running_bulk_actions() == []
        assert await take(store, maker, made) is None

    async def test_a_repeated_request_makes_one_action(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker, idempotency_key="k")
        assert await put(store, maker, ("other",), idempotency_key="k") == made
        assert [item.prediction_id for item in await store.bulk_items(made.id, 9)] == ["p0", "p1", "p2"]
        others: list[dict[str, Any]] = [{"kind": BulkKind.CANCEL}, {"filter": {}}, {"most": 2}]
        for other in others:
            with pytest.raises(KeyReused):
                await put(store, maker, idempotency_key="k", **other)
        named = await put(store, maker, idempotency_key="n", filter=None)
        assert await put(store, maker, idempotency_key="n", filter=None) == named
        with pytest.raises(KeyReused):
            await put(store, maker, ("p0", "other"), idempotency_key="n", filter=None)
        assert (await put(store, maker, account_id="bert", idempotency_key="k")).id != made.id
        assert (await put(store, maker, idempotency_key="l")).id != made.id

    async def test_a_list_has_pages_of_the_account_only(self, store: Store, maker: Maker) -> None:
        made = [(await put(store, maker)).id for _ in range(4)]
        await put(store, maker, account_id="bert")

        async def page(limit: int, **where: str) -> tuple[list[str], bool, bool]:
            found = await store.bulk_actions("anna", limit, **where)
            return [one.id for one in found.items], found.has_older, found.has_newer

        assert await page(2) == ([made[3], made[2]], True, False)
        assert await page(2, older_than=made[2]) == ([made[1], made[0]], False, True)
        assert await page(2, newer_than=made[0]) == ([made[2], made[1]], True, True)
        assert await page(9) == (made[::-1], False, False)

    async def test_items_are_taken_in_order_and_settled_once(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker)
        assert await take(store, maker, made, limit=2) == [0, 1]
        failed = result(1, BulkOutcome.FAILED, "why")
        await store.settle_bulk_items(made.id, [result(0), failed])
        await store.settle_bulk_items(made.id, [result(1, BulkOutcome.SKIPPED)])  # it has an outcome
        after = await now(store, made)
        assert (after.done, after.skipped, after.failed, after.remaining) == (1, 0, 1, 1)
        assert await take(store, maker, made) == [2]
        await store.settle_bulk_items(made.id, [result(2, BulkOutcome.SKIPPED, "not now")])
        assert (await now(store, made)).state is BulkState.RUNNING
        maker.clock.advance(1)
        assert await take(store, maker, made) == []
        end = await now(store, made)
        assert (end.state, end.ended_at, end.remaining) == (BulkState.FINISHED, maker.clock.now(), 0)
        assert await take(store, maker, made) is None
        found = [(item.outcome, item.reason) for item in await store.bulk_items(made.id, 9)]
        assert found == [(BulkOutcome.DONE, None), (BulkOutcome.FAILED, "why"), (BulkOutcome.SKIPPED, "not now")]
        (only,) = await store.bulk_items(made.id, 9, outcome=BulkOutcome.FAILED)
        assert only.prediction_id == "p1"

    async def test_what_was_begun_is_known_after_a_crash(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker)
        first = await store.take_bulk_items(made.id, FIRST, maker.clock.now(), 2)
        assert first == [TakenItem(position=at, prediction_id=f"p{at}", was_begun=False) for at in range(2)]
        await store.settle_bulk_items(made.id, [result(0)])
        again = await store.take_bulk_items(made.id, FIRST, maker.clock.now(), 2)
        assert again is not None
        assert [(item.position, item.was_begun) for item in again] == [(1, True), (2, False)]

    async def test_one_process_carries_it_out_until_its_lease_is_over(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker)
        assert await take(store, maker, made, FIRST, 1) == [0]
        maker.clock.advance(LEASE_SECONDS - 1)
        assert await take(store, maker, made, SECOND) is None
        assert await take(store, maker, made, FIRST, 1) == [0]  # renewed
        maker.clock.advance(LEASE_SECONDS - 1)
        assert await take(store, maker, made, SECOND) is None
        maker.clock.advance(1)
        assert await take(store, maker, made, SECOND, 1) == [0]
        assert await take(store, maker, made, FIRST) is None

    async def test_a_process_that_is_alone_takes_it_at_once(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker)
        await take(store, maker, made, FIRST)
        alone = BulkHolder(id="second", lease_seconds=LEASE_SECONDS, is_alone=True)
        assert await take(store, maker, made, alone) == [0, 1, 2]

    async def test_a_stopped_action_begins_nothing(self, store: Store, maker: Maker) -> None:
        ids = await predictions(store, maker)
        made = await put(store, maker, ids)
        await take(store, maker, made, limit=1)
        assert await store.stop_bulk_action(made.id, "bert", maker.clock.now(), "no") is None
        assert await store.stop_bulk_action("x", None, maker.clock.now(), "no") is None
        stopped = await store.stop_bulk_action(made.id, "anna", maker.clock.now(), "on request")
        assert stopped is not None
        assert (stopped.state, stopped.reason, stopped.ended_at) == (
            BulkState.STOPPED, "on request", maker.clock.now()
        )  # fmt: skip
        assert await store.stop_bulk_action(made.id, None, maker.clock.now(), "again") == stopped
        assert await take(store, maker, made) is None
        with pytest.raises(Conflict):
            await store.rerun_bulk_item(maker.new(), ids[0], made.id, 0)
        await store.settle_bulk_items(made.id, [result(0)])  # it was under way
        after = await now(store, made)
        assert (after.state, after.done, after.remaining) == (BulkState.STOPPED, 1, 2)
        assert await store.running_bulk_actions() == []

    async def test_an_item_is_run_again_once(self, store: Store, maker: Maker) -> None:
        ids = await predictions(store, maker)
        made = await put(store, maker, ids)
        await take(store, maker, made)
        tries = await asyncio.gather(
            *[store.rerun_bulk_item(maker.new(), ids[0], made.id, 0) for _ in range(5)], return_exceptions=True
        )
        created = [one for one in tries if not isinstance(one, BaseException)]
        assert len(created) == 1
        assert all(isinstance(one, Conflict) for one in tries if one not in created)
        related = await store.related(ids[0], "anna")
        assert [one.prediction.id for one in related] == [created[0].prediction.id]
        (item, *_) = await store.bulk_items(made.id, 9)
        assert (item.outcome, item.rerun_id) == (BulkOutcome.DONE, created[0].prediction.id)
        assert (await now(store, made)).done == 1
        assert await store.waiting_reruns(made.id) == 1

    async def test_a_rerun_that_is_refused_leaves_its_item_open(self, small_store: Store, maker: Maker) -> None:
        ids = await predictions(small_store, maker, SMALL.per_account)
        made = await put(small_store, maker, ids)
        await take(small_store, maker, made)
        with pytest.raises(QueueFull):
            await small_store.rerun_bulk_item(maker.new(), ids[0], made.id, 0)
        assert await take(small_store, maker, made) == [0, 1]
        assert (await now(small_store, made)).done == 0

    async def test_why_it_waits_is_shown_until_it_goes_on(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker)
        await store.note_bulk_waiting(made.id, "the queue is full")
        assert (await now(store, made)).waiting == "the queue is full"
        await store.settle_bulk_items(made.id, [result(0)])
        assert (await now(store, made)).waiting is None
        await store.note_bulk_waiting(made.id, "the queue is full")
        await store.stop_bulk_action(made.id, None, maker.clock.now(), "on request")
        await store.note_bulk_waiting(made.id, "late")
        assert (await now(store, made)).waiting is None

    async def test_an_account_has_a_limited_number_of_running_actions(self, store: Store, maker: Maker) -> None:
        made = [await put(store, maker) for _ in range(MOST_RUNNING)]
        with pytest.raises(Conflict):
            await put(store, maker)
        await put(store, maker, account_id="bert")
        await store.stop_bulk_action(made[0].id, None, maker.clock.now(), "on request")
        await put(store, maker)

    async def test_reasons_are_counted_the_most_frequent_first(self, store: Store, maker: Maker) -> None:
        made = await put(store, maker, [f"p{at}" for at in range(6)])
        skipped = [result(at, BulkOutcome.SKIPPED, "was over") for at in (1, 2, 3)]
        await store.settle_bulk_items(made.id, [*skipped, result(4, BulkOutcome.FAILED, "broke"), result(0)])
        found = [(one.outcome, one.reason, one.count, one.example) for one in await store.bulk_reasons(made.id)]
        assert found == [(BulkOutcome.SKIPPED, "was over", 3, "p1"), (BulkOutcome.FAILED, "broke", 1, "p4")]
        assert len(await store.bulk_reasons(made.id, 1)) == 1

    async def test_whose_predictions_they_are_is_known(self, store: Store, maker: Maker) -> None:
        ids = await predictions(store, maker, 2)
        other = (await store.create(maker.new("bert"))).prediction.id
        assert await store.own_predictions("anna", [*ids, other, "x"]) == set(ids)

    async def test_actions_that_ended_long_ago_are_forgotten(self, store: Store, maker: Maker) -> None:
        made = [await put(store, maker) for _ in range(3)]
        for one in made[:2]:
            await store.stop_bulk_action(one.id, None, maker.clock.now(), "on request")
        later = maker.clock.now() + timedelta(seconds=1)
        assert await store.forget_bulk_actions(maker.clock.now(), 9) == 0
        assert [await store.forget_bulk_actions(later, 1) for _ in range(3)] == [1, 1, 0]
        assert [await store.bulk_action(one.id) for one in made] == [None, None, made[2]]
        assert await store.bulk_items(made[0].id, 9) == []
