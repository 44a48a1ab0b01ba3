"""The contract of `webhooks.ports.DeliveryStore` for the sender, and for one that has lost the duty."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from halley.errors import DutyLost
from halley.predictions.duties import MAINTENANCE, Duty
from halley.store.ports import Deliveries, Store
from halley.testing.stores.delivery_suite import DeliverySuite
from halley.testing.stores.maker import LEASE_SECONDS, Maker
from halley.webhooks.ports import DeliveryStore
from halley.webhooks.records import Delivery, DeliveryOutcome, Ending, Message, MessageState

Write = Callable[[DeliveryStore, Message, Delivery], Awaitable[Any]]
WRITES: Final[dict[str, Write]] = {
    "record": lambda store, message, _: store.record([message], 7),
    "begin": lambda store, _, attempt: store.begin(attempt),
    "take_over": lambda store, _, attempt: store.take_over("it stopped", attempt.started_at),
}
_SENT: Final = Ending(outcome=DeliveryOutcome.DELIVERED, latency_seconds=0.1, status=200)


async def elected(store: Store, maker: Maker, session_id: str) -> Duty:
    """The sender from now on; the previous one has not noticed."""
    maker.clock.advance(LEASE_SECONDS + 1)
    duty = await store.hold_duty(MAINTENANCE, session_id, maker.clock.now(), LEASE_SECONDS)
    assert duty is not None
    return duty


@pytest.mark.anyio
class DeliveryDutyContract(DeliverySuite):
    """One process at a time sends; a late one makes no attempt, and its report of an earlier one does no harm."""

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    async def test_a_process_that_lost_the_duty_writes_nothing(
        self, store: Store, deliveries: Deliveries, maker: Maker, write: Write
    ) -> None:
        message = self.message(maker)
        attempt = self.attempt(maker, message)
        old = deliveries.on_duty(await elected(store, maker, "m1"))
        await write(old, message, attempt)
        new = deliveries.on_duty(await elected(store, maker, "m2"))
        second = self.message(maker, 2)
        late = self.attempt(maker, second)
        with pytest.raises(DutyLost):
            await write(old, second, late)
        assert await deliveries.message(second.id) is None
        assert await deliveries.delivery(late.id) is None
        await write(new, second, late)

    async def test_reads_of_a_late_process_are_harmless(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        old = deliveries.on_duty(await elected(store, maker, "m1"))
        await elected(store, maker, "m2")
        assert await old.position() == 0
        assert await old.endpoints() == []

    async def test_a_late_end_does_not_change_a_settled_message(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        message = self.message(maker)
        old = deliveries.on_duty(await elected(store, maker, "m1"))
        await old.record([message], 1)
        first = self.attempt(maker, message)
        await old.begin(first)
        new = deliveries.on_duty(await elected(store, maker, "m2"))
        assert await new.take_over("it stopped", maker.clock.now()) == 1
        second = self.attempt(maker, message, 2)
        await new.begin(second)
        await new.end(second, _SENT, self.fate(message, MessageState.DELIVERED))
        failed = Ending(outcome=DeliveryOutcome.FAILED, latency_seconds=9.0, error="no answer")
        again = self.fate(message, MessageState.PENDING, failures=1, next_at=maker.clock.now())
        await old.end(first, failed, again)
        kept = await self.kept(deliveries, message.id)
        assert (kept.state, kept.next_at) == (MessageState.DELIVERED, None)
        told = await deliveries.delivery(first.id)
        assert told is not None
        assert told.outcome is DeliveryOutcome.FAILED, "it was made, and this is what came of it"

    async def test_a_late_end_may_spare_another_attempt(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        message = self.message(maker)
        old = deliveries.on_duty(await elected(store, maker, "m1"))
        await old.record([message], 1)
        first = self.attempt(maker, message)
        await old.begin(first)
        await deliveries.on_duty(await elected(store, maker, "m2")).take_over("it stopped", maker.clock.now())
        await old.end(first, _SENT, self.fate(message, MessageState.DELIVERED))
        assert (await self.kept(deliveries, message.id)).state is MessageState.DELIVERED
