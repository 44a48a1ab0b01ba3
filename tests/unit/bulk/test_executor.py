"""Who carries out bulk actions, and what that costs while there are none."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from halley.bulk.executor import LEASE_SECONDS, LOOK_SECONDS, BulkExecutor
from halley.bulk.item_actions import ItemActions
from halley.bulk.records import BulkAction, BulkKind, BulkOutcome, BulkState, ItemResult, TakenItem
from halley.store.memory import MemoryStore
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class Looks(MemoryStore):
    """Counts how often it is asked for actions."""

    looks = 0

    async def running_bulk_actions(self) -> list[BulkAction]:
        self.looks += 1
        return await super().running_bulk_actions()


class Noted(ItemActions):
    """Notes what was taken; `before` runs first."""

    def __init__(self, before: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        self.taken: list[int] = []
        self._before = before

    async def take(self, action: BulkAction, item: TakenItem) -> ItemResult | None:
        del action
        if self._before is not None:
            await self._before()
        self.taken.append(item.position)
        return ItemResult(position=item.position, outcome=BulkOutcome.DONE)


async def always(_: str) -> bool:
    return True


def executor(store: MemoryStore, steps: ItemActions, clock: FakeClock, name: str, *, is_alone: bool) -> BulkExecutor:
    return BulkExecutor(store=store, item_actions=steps, may_act=always, clock=clock, holder_id=name, is_alone=is_alone)


async def put(store: MemoryStore, clock: FakeClock, count: int) -> BulkAction:
    new = BulkAction(
        id="b1", account_id="anna", key_id="k", kind=BulkKind.CANCEL, filter={}, created_at=clock.now(), total=0
    )
    return await store.put_bulk_action(new, [f"p{at}" for at in range(count)])


async def turns(one: BulkExecutor) -> None:
    while True:
        await one.turn()


async def let(clock: FakeClock, seconds: float, step: float = 0.5) -> None:
    """Time passes, in steps."""
    for _ in range(round(seconds / step)):
        for _ in range(20):
            await asyncio.sleep(0)
        clock.advance(step)


async def test_one_that_is_alone_asks_nothing_while_there_is_nothing() -> None:
    clock = FakeClock()
    store = Looks(clock=clock)
    steps = Noted()
    one = executor(store, steps, clock, "one", is_alone=True)
    running = asyncio.ensure_future(turns(one))
    await let(clock, 3000, 100)
    assert store.looks == 1
    await put(store, clock, 3)
    one.wake()
    await let(clock, 5)
    assert steps.taken == [0, 1, 2]
    running.cancel()


async def test_one_of_several_finds_the_action_of_another_process() -> None:
    clock = FakeClock()
    store = Looks(clock=clock)
    steps = Noted()
    running = asyncio.ensure_future(turns(executor(store, steps, clock, "one", is_alone=False)))
    await let(clock, 1)
    await put(store, clock, 3)
    await let(clock, LOOK_SECONDS + 1)
    assert steps.taken == [0, 1, 2]
    assert store.looks <= 6
    running.cancel()


async def test_what_a_lost_process_held_is_continued_and_its_late_results_count_once() -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    action = await put(store, clock, 30)
    paused = asyncio.Event()

    async def pause() -> None:
        await paused.wait()

    lost, other = Noted(pause), Noted()
    tasks = [asyncio.ensure_future(turns(executor(store, lost, clock, "lost", is_alone=False)))]
    await let(clock, 1)
    tasks.append(asyncio.ensure_future(turns(executor(store, other, clock, "other", is_alone=False))))
    await let(clock, LEASE_SECONDS - 5)
    assert other.taken == []
    await let(clock, 20)
    assert sorted(other.taken) == list(range(30))
    paused.set()
    await let(clock, 5)
    assert len(lost.taken) == 20
    found = await store.bulk_action(action.id)
    assert found is not None
    assert (found.state, found.done) == (BulkState.FINISHED, 30)
    for task in tasks:
        task.cancel()
