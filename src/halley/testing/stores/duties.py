"""The contract of `predictions.duties.DutyStore`, and of the writes that carry a duty."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from halley.errors import DutyLost
from halley.predictions.duties import MAINTENANCE, Duty
from halley.store.ports import Store
from halley.testing.stores.maker import LEASE_SECONDS, VERSION, Maker, StoreSuite, running

_DAY: Final = 86_400.0

Write = Callable[[Store, Duty, Maker], Awaitable[Any]]
WRITES: Final[dict[str, Write]] = {
    "reap": lambda store, duty, maker: store.reap(duty, maker.clock.now()),
    "reap at a start": lambda store, duty, maker: store.reap(duty, maker.clock.now(), all_but=duty.session_id),
    "expire": lambda store, duty, maker: store.expire(duty, maker.clock.now(), 1.0),
    "fail_waiting": lambda store, duty, maker: store.fail_waiting(duty, VERSION, maker.clock.now(), "x", "x"),
}


@pytest.mark.anyio
class DutyStoreContract(StoreSuite):
    """One holder at a time; a process that lost the duty writes nothing."""

    async def test_one_has_it_and_the_next_one_waits_until_its_time_is_over(self, store: Store, maker: Maker) -> None:
        first = await taken(store, maker, "m1")
        assert first.fence == 1
        maker.clock.advance(LEASE_SECONDS - 0.01)
        assert await take(store, maker, "m2") is None
        maker.clock.advance(0.01)
        second = await taken(store, maker, "m2")
        assert second.fence > first.fence
        assert await take(store, maker, "m1") is None

    async def test_renewing_keeps_it(self, store: Store, maker: Maker) -> None:
        first = await taken(store, maker, "m1")
        maker.clock.advance(LEASE_SECONDS - 1)
        await store.renew_duty(first, maker.clock.now(), LEASE_SECONDS)
        maker.clock.advance(LEASE_SECONDS - 1)
        assert await take(store, maker, "m2") is None
        maker.clock.advance(_DAY)  # no other session took it meanwhile
        await store.renew_duty(first, maker.clock.now(), LEASE_SECONDS)
        assert await take(store, maker, "m2") is None

    async def test_asking_again_renews(self, store: Store, maker: Maker) -> None:
        first = await taken(store, maker, "m1")
        maker.clock.advance(LEASE_SECONDS - 1)
        assert await taken(store, maker, "m1") == first
        maker.clock.advance(LEASE_SECONDS - 1)
        assert await take(store, maker, "m2") is None

    async def test_what_is_released_is_free_at_once(self, store: Store, maker: Maker) -> None:
        first = await taken(store, maker, "m1")
        await store.release_duty(first)
        second = await taken(store, maker, "m2")
        assert second.fence > first.fence
        await store.release_duty(first)  # it holds nothing any more
        assert await take(store, maker, "m1") is None

    async def test_a_process_that_is_alone_has_it_at_once(self, store: Store, maker: Maker) -> None:
        first = await taken(store, maker, "m1")
        second = await taken(store, maker, "m2", alone=True)
        assert second.fence > first.fence
        with pytest.raises(DutyLost):
            await store.renew_duty(first, maker.clock.now(), LEASE_SECONDS)

    async def test_duties_are_independent(self, store: Store, maker: Maker) -> None:
        await taken(store, maker, "m1")
        other = await store.hold_duty("something else", "m2", maker.clock.now(), LEASE_SECONDS)
        assert other is not None
        assert await take(store, maker, "m2") is None

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    async def test_a_process_that_lost_it_writes_nothing(self, store: Store, maker: Maker, write: Write) -> None:
        old = await taken(store, maker, "m1")
        lost = await running(store, maker)
        waits = (await store.create(maker.new())).prediction
        maker.clock.advance(LEASE_SECONDS + 1)
        new = await taken(store, maker, "m2")
        before = [await store.get(row_id) for row_id in (lost.prediction_id, waits.id)]
        with pytest.raises(DutyLost):
            await write(store, old, maker)
        assert [await store.get(row_id) for row_id in (lost.prediction_id, waits.id)] == before
        assert await store.waiting() == {VERSION: 1}
        assert await write(store, new, maker), "the one who has it finds all that there was"

    async def test_a_process_that_released_it_writes_nothing(self, store: Store, maker: Maker) -> None:
        duty = await taken(store, maker, "m1")
        await store.release_duty(duty)
        with pytest.raises(DutyLost):
            await store.expire(duty, maker.clock.now(), _DAY)


def take(store: Store, maker: Maker, session_id: str, *, alone: bool = False) -> Awaitable[Duty | None]:
    """Ask for the duty to maintain."""
    return store.hold_duty(MAINTENANCE, session_id, maker.clock.now(), LEASE_SECONDS, alone=alone)


async def taken(store: Store, maker: Maker, session_id: str, *, alone: bool = False) -> Duty:
    """Ask for the duty, and get it."""
    duty = await take(store, maker, session_id, alone=alone)
    assert duty is not None
    return duty
