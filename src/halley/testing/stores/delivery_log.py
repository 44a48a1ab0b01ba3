"""The contract of a store for the log of attempts, and for their signing secrets."""

from datetime import timedelta

import msgspec
import pytest

from halley.store.ports import Deliveries
from halley.testing.stores.delivery_suite import DeliverySuite
from halley.testing.stores.maker import Maker
from halley.webhooks.records import DeliveryOutcome, Ending, MessageState


@pytest.mark.anyio
class DeliveryLogContract(DeliverySuite):
    """Attempts and secrets. Give `deliveries`, a part of `store`."""

    async def test_the_log_comes_back_whole_newest_first(self, deliveries: Deliveries, maker: Maker) -> None:
        message, other = self.message(maker, 1), self.message(maker, 2, account_id="bert")
        await deliveries.record([message, other], 1)
        attempts = [self.attempt(maker, message, 1), self.attempt(maker, other, 1), self.attempt(maker, message, 2)]
        for attempt in attempts:
            await deliveries.begin(attempt)
        assert await deliveries.page("anna", limit=9) == [attempts[2], attempts[0]]
        assert await deliveries.page("anna", limit=1) == [attempts[2]]
        assert await deliveries.page("anna", limit=9, before=attempts[2].id) == [attempts[0]]
        assert await deliveries.page("anna", limit=9, prediction_id="p1") == [attempts[2], attempts[0]]
        assert await deliveries.page("anna", limit=9, prediction_id="p2") == []
        assert await deliveries.delivery(attempts[1].id) == attempts[1]
        assert await deliveries.delivery("absent") is None
        ending = Ending(
            outcome=DeliveryOutcome.FAILED, latency_seconds=0.5, status=500, answer=b"\xffoops", error="why"
        )
        await deliveries.end(attempts[0], ending, None)
        assert await deliveries.delivery(attempts[0].id) == msgspec.structs.replace(
            attempts[0],
            outcome=DeliveryOutcome.FAILED,
            latency_seconds=0.5,
            status=500,
            answer=b"\xffoops",
            error="why",
        )

    async def test_what_was_under_way_is_marked_at_the_next_start(self, deliveries: Deliveries, maker: Maker) -> None:
        message = self.message(maker)
        await deliveries.record([message], 1)
        ended, cut = self.attempt(maker, message, 1), self.attempt(maker, message, 2)
        for attempt in (ended, cut):
            await deliveries.begin(attempt)
        await deliveries.end(ended, Ending(outcome=DeliveryOutcome.FAILED, latency_seconds=0.5), None)
        assert await deliveries.take_over("stopped", maker.clock.now()) == 1
        assert await deliveries.take_over("stopped", maker.clock.now()) == 0
        log = await deliveries.page("anna", limit=9)
        assert [(one.outcome, one.error) for one in log] == [
            (DeliveryOutcome.INTERRUPTED, "stopped"),
            (DeliveryOutcome.FAILED, None),
        ]

    async def test_old_lines_are_forgotten_but_nothing_that_is_pending(
        self, deliveries: Deliveries, maker: Maker
    ) -> None:
        pending = self.message(maker, 1)
        settled = self.message(maker, 2, state=MessageState.DELIVERED, next_at=None)
        await deliveries.record([pending, settled], 1)
        old = self.attempt(maker, settled)
        await deliveries.begin(old)
        await deliveries.end(old, Ending(outcome=DeliveryOutcome.DELIVERED, latency_seconds=0.5, status=200), None)
        open_one = self.attempt(maker, pending)
        await deliveries.begin(open_one)
        maker.clock.advance(3600)
        border = maker.clock.now()
        fresh = self.message(maker, 3, state=MessageState.DELIVERED, next_at=None)
        await deliveries.record([fresh], 2)
        late = self.attempt(maker, fresh)
        await deliveries.begin(late)
        await deliveries.end(late, Ending(outcome=DeliveryOutcome.DELIVERED, latency_seconds=0.5, status=200), None)
        assert await deliveries.forget(border, 100) == 1
        assert await deliveries.forget(border, 100) == 0
        assert [one.id for one in await deliveries.page("anna", limit=9)] == [late.id, open_one.id]
        assert await deliveries.message(settled.id) is None
        assert await deliveries.message(pending.id) is not None
        assert await deliveries.message(fresh.id) is not None

    async def test_forgetting_goes_in_portions(self, deliveries: Deliveries, maker: Maker) -> None:
        messages = [self.message(maker, n, state=MessageState.DELIVERED, next_at=None) for n in range(5)]
        await deliveries.record(messages, 1)
        maker.clock.advance(10)
        assert [await deliveries.forget(maker.clock.now(), 2) for _ in range(4)] == [2, 2, 1, 0]

    # secrets

    async def test_generations_of_secrets_end_in_order(self, deliveries: Deliveries, maker: Maker) -> None:
        day = maker.clock.now() + timedelta(days=1)
        hour = maker.clock.now() + timedelta(hours=1)
        assert await deliveries.ended_generations("anna") == []
        assert not await deliveries.rotate("anna", 2, day)
        assert await deliveries.rotate("anna", 1, day)
        assert not await deliveries.rotate("anna", 1, day)
        assert await deliveries.ended_generations("anna") == [(1, day)]
        assert await deliveries.rotate("anna", 2, hour)
        assert await deliveries.ended_generations("anna") == [(2, hour), (1, hour)]
        assert await deliveries.ended_generations("bert") == []
