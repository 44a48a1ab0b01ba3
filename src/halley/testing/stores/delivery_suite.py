"""Shared by the suites of webhook deliveries: messages, attempts, and their results."""

from typing import Any

import pytest

from halley.store.ports import Deliveries, Store
from halley.testing.stores.maker import Maker, StoreSuite
from halley.webhooks.records import Delivery, Fate, Message, MessageState

HOOK = "https://receiver.example/hook?x=1"
ENDPOINT = "receiver.example:443"


@pytest.mark.anyio
class DeliverySuite(StoreSuite):
    """What every implementation must do. Give `deliveries`, a part of `store`."""

    @pytest.fixture
    def deliveries(self, store: Store) -> Deliveries:
        raise NotImplementedError

    def message(self, maker: Maker, number: int = 1, **members: Any) -> Message:
        given: dict[str, Any] = {
            "id": f"msg_{number}",
            "account_id": "anna",
            "prediction_id": f"p{number}",
            "url": HOOK,
            "endpoint": ENDPOINT,
            "body": b'{"id":"p%d"}' % number,
            "created_at": maker.clock.now(),
            "next_at": maker.clock.now(),
            **members,
        }
        return Message(**given)

    def attempt(self, maker: Maker, message: Message, attempt: int = 1, **members: Any) -> Delivery:
        maker.clock.advance(0.001)
        given: dict[str, Any] = {
            "id": maker.new_id(),
            "account_id": message.account_id,
            "prediction_id": message.prediction_id,
            "message_id": message.id,
            "event": message.event,
            "attempt": attempt,
            "url": message.url,
            "headers": {"webhook-id": message.id},
            "body_sha256": "0" * 64,
            "body_bytes": 11,
            "started_at": maker.clock.now(),
            **members,
        }
        return Delivery(**given)

    def fate(self, message: Message, state: MessageState, **members: Any) -> Fate:
        return Fate(message_id=message.id, found_at=message.next_at, state=state, **({"failures": 0} | members))

    async def kept(self, deliveries: Deliveries, message_id: str) -> Message:
        message = await deliveries.message(message_id)
        assert message is not None
        return message
