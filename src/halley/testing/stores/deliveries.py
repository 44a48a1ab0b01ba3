"""The promises of `webhooks.ports.DeliveryStore` and `SecretStore`."""

from datetime import timedelta

import msgspec
import pytest

from halley.predictions.status import EventKind, Fact
from halley.store.ports import Deliveries, Store
from halley.testing.stores.delivery_duty import DeliveryDutyContract
from halley.testing.stores.delivery_log import DeliveryLogContract
from halley.testing.stores.delivery_suite import ENDPOINT, HOOK
from halley.testing.stores.maker import Maker, on_duty, running
from halley.webhooks.events import WebhookEvent
from halley.webhooks.records import DeliveryOutcome, Ending, Message, MessageState, completed_id


@pytest.mark.anyio
class DeliveryStoreContract(DeliveryLogContract, DeliveryDutyContract):
    """The contract. Provide `deliveries`, a part of `store`."""

    async def test_earlier_attempts_about_a_prediction_are_known(self, deliveries: Deliveries, maker: Maker) -> None:
        told, other = self.message(maker), self.message(maker, 2)
        await deliveries.begin(self.attempt(maker, told, event=WebhookEvent.START))
        assert await deliveries.was_told(told.prediction_id)
        assert not await deliveries.was_told(other.prediction_id)

    # the log

    async def test_only_facts_about_predictions_with_a_webhook_are_noticed(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        silent = await running(store, maker, "s0")
        deaf = await running(store, maker, "s1", webhook=HOOK, webhook_events_filter=())
        told = await running(store, maker, "s2", webhook=HOOK)
        await store.append_events(told, [maker.said("a"), maker.part(1), maker.metric("m", 1)])
        for lease in (silent, deaf, told):
            await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        notices = await deliveries.read_notices(0, 100)
        assert {notice.prediction_id for notice in notices} == {told.prediction_id}
        assert [notice.kind for notice in notices] == [
            EventKind.STARTED,
            EventKind.LOGGED,
            EventKind.OUTPUT_ADDED,
            EventKind.FINISHED,
        ]
        offsets = [notice.offset for notice in notices]
        assert offsets == sorted(offsets)
        assert await deliveries.read_notices(0, 2) == notices[:2]
        assert await deliveries.read_notices(offsets[1], 100) == notices[2:]
        assert await deliveries.read_notices(offsets[-1], 100) == []

    async def test_no_notice_is_missed_without_a_read(self, store: Store, deliveries: Deliveries, maker: Maker) -> None:
        position = 0
        told = await running(store, maker, "s2", webhook=HOOK)
        for write in (
            lambda: store.append_events(told, [maker.said("a")]),
            lambda: store.append_events(told, [maker.metric("m", 1), maker.part(1)]),
            lambda: store.finish(told, Fact.SUCCEEDED, maker.clock.now()),
        ):
            await write()
            assert deliveries.may_have_notices(position)
            position = (await deliveries.read_notices(position, 100))[-1].offset
        silent = await running(store, maker, "s0")
        await store.append_events(silent, [maker.said("a"), maker.part(1)])
        await store.finish(silent, Fact.SUCCEEDED, maker.clock.now())
        assert await deliveries.read_notices(position, 100) == []

    async def test_every_end_is_noticed_from_any_process(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        canceled = maker.new(webhook=HOOK)
        late = maker.new(webhook=HOOK, deadline_at=maker.clock.now())
        homeless = maker.new(webhook=HOOK)
        for new in (canceled, late):
            await store.create(new)
        await store.cancel(canceled.prediction.id, None, maker.clock.now())
        maker.clock.advance(1)
        await store.expire(await on_duty(store), maker.clock.now(), 1e6)
        await store.create(homeless)
        await store.fail_waiting(await on_duty(store), homeless.prediction.version, maker.clock.now(), "no", "gone")
        ended = [one.prediction_id for one in await deliveries.read_notices(0, 9) if one.kind is EventKind.FINISHED]
        assert ended == [new.prediction.id for new in (canceled, late, homeless)]

    async def test_the_position_and_the_messages_are_stored_together(
        self, deliveries: Deliveries, maker: Maker
    ) -> None:
        assert await deliveries.position() == 0
        message = self.message(maker)
        await deliveries.record([message], 7)
        assert await deliveries.position() == 7
        assert await deliveries.message(message.id) == message
        await deliveries.record([], 9)
        assert await deliveries.position() == 9

    async def test_a_message_is_made_once(self, deliveries: Deliveries, maker: Maker) -> None:
        first = self.message(maker)
        await deliveries.record([first], 1)
        await deliveries.record([self.message(maker, body=b"another")], 2)
        assert await deliveries.message(first.id) == first

    async def test_the_base_of_links_is_kept_until_the_end_is_sent(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        new = msgspec.structs.replace(maker.new(webhook=HOOK), link_base="https://h.example/replicate")
        unasked = msgspec.structs.replace(maker.new(), link_base="https://h.example")
        await store.create(new)
        await store.create(unasked)
        assert await deliveries.link_base(new.prediction.id) == "https://h.example/replicate"
        assert await deliveries.link_base(unasked.prediction.id) is None
        await deliveries.record([], 1, [new.prediction.id])
        assert await deliveries.link_base(new.prediction.id) is None

    async def test_an_account_can_follow_all_its_predictions(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        mine = await running(store, maker, "s1", key_id="k1")
        await running(store, maker, "s2", account_id="bert")
        other_key = await running(store, maker, "s3", key_id="k2")
        await store.append_events(mine, [maker.metric("m", 1)])
        notices, position = await deliveries.read_account("anna", 0, 100)
        assert [notice.prediction_id for notice in notices] == [mine.prediction_id, other_key.prediction_id]
        assert (await deliveries.read_account("anna", position, 100)) == ([], position)
        assert (await deliveries.read_account("anna", 0, 1))[0] == notices[:1]
        assert (await deliveries.read_account("anna", notices[0].offset, 100))[0] == notices[1:]
        assert [one.prediction_id for one in (await deliveries.read_account("anna", 0, 9, "k2"))[0]] == [
            other_key.prediction_id
        ]

    async def test_a_position_is_found_by_time(self, store: Store, deliveries: Deliveries, maker: Maker) -> None:
        early = await running(store, maker, "s1")
        maker.clock.advance(60)
        since = maker.clock.now()
        late = await running(store, maker, "s2")
        position = await deliveries.position_at("anna", since)
        found, _ = await deliveries.read_account("anna", position, 100)
        assert [notice.prediction_id for notice in found] == [late.prediction_id]
        position = await deliveries.position_at("anna", since - timedelta(minutes=5))
        found, newest = await deliveries.read_account("anna", position, 100)
        assert [notice.prediction_id for notice in found] == [early.prediction_id, late.prediction_id]
        assert await deliveries.position_at("anna", since + timedelta(minutes=5)) == newest

    # messages

    async def test_due_messages_come_earliest_first_and_without_their_bodies(
        self, deliveries: Deliveries, maker: Maker
    ) -> None:
        now = maker.clock.now()
        later = self.message(maker, 1, next_at=now + timedelta(seconds=3))
        late = self.message(maker, 2, next_at=now - timedelta(seconds=1))
        first = self.message(maker, 3, next_at=now - timedelta(seconds=2))
        elsewhere = self.message(maker, 4, endpoint="b.example:80")
        await deliveries.record([later, late, first, elsewhere], 1)
        bare = [msgspec.structs.replace(message, body=None) for message in (first, late)]
        assert await deliveries.due(ENDPOINT, now, 9) == bare
        assert await deliveries.due(ENDPOINT, now, 1) == bare[:1]
        assert await deliveries.next_due_at(ENDPOINT, now) == later.next_at
        assert await deliveries.next_due_at("b.example:80", now) is None
        assert sorted(await deliveries.endpoints()) == ["b.example:80", ENDPOINT]

    async def test_endpoints_with_a_wait_begun_lately_are_found(self, deliveries: Deliveries, maker: Maker) -> None:
        now = maker.clock.now()
        old = self.message(maker, 1, next_at=now - timedelta(seconds=60))
        new = self.message(maker, 2, endpoint="b.example:80", next_at=now)
        await deliveries.record([old, new], 1)
        lately = now - timedelta(seconds=5)
        assert await deliveries.endpoints_since(lately) == ["b.example:80"]
        assert sorted(await deliveries.endpoints_since(now - timedelta(seconds=90))) == ["b.example:80", ENDPOINT]
        assert await deliveries.resend(old.id, now) is not None
        assert sorted(await deliveries.endpoints_since(lately)) == ["b.example:80", ENDPOINT]

    async def test_a_settled_message_is_not_due(self, deliveries: Deliveries, maker: Maker) -> None:
        message = self.message(maker)
        await deliveries.record([message], 1)
        attempt = self.attempt(maker, message)
        assert await deliveries.begin(attempt)
        assert (await self.kept(deliveries, message.id)).sent == 1
        ending = Ending(outcome=DeliveryOutcome.DELIVERED, latency_seconds=0.25, status=204, answer=b"ok")
        await deliveries.end(attempt, ending, self.fate(message, MessageState.DELIVERED))
        assert await deliveries.due(ENDPOINT, maker.clock.now(), 9) == []
        assert await deliveries.endpoints() == []
        kept = await self.kept(deliveries, message.id)
        assert (kept.state, kept.sent, kept.body) == (MessageState.DELIVERED, 1, message.body)

    async def test_a_message_under_way_stays_due(self, deliveries: Deliveries, maker: Maker) -> None:
        message = self.message(maker)
        await deliveries.record([message], 1)
        await deliveries.begin(self.attempt(maker, message))
        assert [due.id for due in await deliveries.due(ENDPOINT, maker.clock.now(), 9)] == [message.id]

    async def test_a_failed_attempt_is_tried_again_later(self, deliveries: Deliveries, maker: Maker) -> None:
        message = self.message(maker)
        await deliveries.record([message], 1)
        attempt = self.attempt(maker, message)
        await deliveries.begin(attempt)
        again = maker.clock.now() + timedelta(seconds=2)
        told = again + timedelta(days=1)  # the clock was set
        fate = self.fate(message, MessageState.PENDING, failures=1, next_at=again, told_at=told)
        ending = Ending(outcome=DeliveryOutcome.FAILED, latency_seconds=1.5, error="refused")
        await deliveries.end(attempt, ending, fate)
        await deliveries.end(attempt, ending, fate)  # repeating is harmless
        kept = await self.kept(deliveries, message.id)
        assert (kept.failures, kept.sent, kept.next_at) == (1, 1, again)
        assert await deliveries.due(ENDPOINT, maker.clock.now(), 9) == []
        (logged,) = await deliveries.page("anna", limit=9)
        assert (logged.outcome, logged.error, logged.next_at) == (DeliveryOutcome.FAILED, "refused", told)

    async def test_410_ends_everything_about_the_prediction(self, deliveries: Deliveries, maker: Maker) -> None:
        message, other = self.message(maker, 1), self.message(maker, 2)
        await deliveries.record([message, other], 1)
        update = self.attempt(maker, message, event=WebhookEvent.OUTPUT, message_id="msg_u")
        assert await deliveries.begin(update)
        await deliveries.end(update, Ending(outcome=DeliveryOutcome.GONE, latency_seconds=0.1, status=410), None)
        kept = await self.kept(deliveries, message.id)
        assert (kept.state, kept.next_at) == (MessageState.GONE, None)
        assert [due.id for due in await deliveries.due(ENDPOINT, maker.clock.now(), 9)] == [other.id]
        assert not await deliveries.begin(self.attempt(maker, message, event=WebhookEvent.LOGS, message_id="msg_v"))
        assert len(await deliveries.page("anna", limit=9)) == 1

    async def test_a_message_that_is_made_after_410_is_gone_from_the_start(
        self, deliveries: Deliveries, maker: Maker
    ) -> None:
        message = self.message(maker)
        update = self.attempt(maker, message, event=WebhookEvent.OUTPUT, message_id="msg_u")
        await deliveries.begin(update)
        await deliveries.end(update, Ending(outcome=DeliveryOutcome.GONE, latency_seconds=0.1, status=410), None)
        await deliveries.record([message], 1)
        kept = await self.kept(deliveries, message.id)
        assert (kept.state, kept.next_at, kept.body) == (MessageState.GONE, None, message.body)

    async def test_a_message_can_be_sent_again(self, deliveries: Deliveries, maker: Maker) -> None:
        message = self.message(maker, state=MessageState.FAILED, next_at=None, failures=6, sent=6)
        empty = self.message(maker, 2, state=MessageState.DELIVERED, next_at=None, body=None)
        await deliveries.record([message, empty], 1)
        now = maker.clock.now()
        again = await deliveries.resend(message.id, now)
        assert again == msgspec.structs.replace(message, state=MessageState.PENDING, failures=0, next_at=now)
        assert await deliveries.message(message.id) == again
        assert await deliveries.resend(empty.id, now) is None
        assert await deliveries.resend("absent", now) is None

    @pytest.mark.parametrize("state", [MessageState.PENDING, MessageState.FAILED, MessageState.DELIVERED])
    async def test_sending_again_counts_also_while_an_attempt_is_under_way(
        self, deliveries: Deliveries, maker: Maker, state: MessageState
    ) -> None:
        message = self.message(maker, failures=5)
        await deliveries.record([message], 1)
        attempt = self.attempt(maker, message)
        await deliveries.begin(attempt)
        again = await deliveries.resend(message.id, maker.clock.now())
        late = maker.clock.now() + timedelta(seconds=60) if state is MessageState.PENDING else None
        fate = self.fate(message, state, failures=6, waits_since=maker.clock.now(), next_at=late, told_at=late)
        ending = Ending(outcome=DeliveryOutcome.FAILED, latency_seconds=0.5, status=500)
        await deliveries.end(attempt, ending, fate)
        await deliveries.end(attempt, ending, fate)
        assert await deliveries.message(message.id) == again
        (logged,) = await deliveries.page("anna", limit=9)
        assert logged.outcome is DeliveryOutcome.FAILED

    async def test_410_also_ends_messages_to_be_sent_again(self, deliveries: Deliveries, maker: Maker) -> None:
        message = self.message(maker)
        await deliveries.record([message], 1)
        attempt = self.attempt(maker, message)
        await deliveries.begin(attempt)
        await deliveries.resend(message.id, maker.clock.now())
        ending = Ending(outcome=DeliveryOutcome.GONE, latency_seconds=0.5, status=410)
        await deliveries.end(attempt, ending, self.fate(message, MessageState.GONE, failures=1))
        kept = await self.kept(deliveries, message.id)
        assert (kept.state, kept.next_at) == (MessageState.GONE, None)

    async def test_a_pause_that_began_in_the_future_begins_anew(self, deliveries: Deliveries, maker: Maker) -> None:
        begun, paused, again = self.message(maker, 1), self.message(maker, 3), self.message(maker, 4)
        await deliveries.record([begun, paused, again], 1)
        await self.pause(deliveries, maker, begun, seconds=7200)
        maker.clock.advance(3600)
        border = maker.clock.now()
        maker.clock.advance(60)
        await self.pause(deliveries, maker, paused, seconds=30)
        new = self.message(maker, 2)
        await deliveries.record([new], 2)
        await deliveries.resend(again.id, maker.clock.now())
        assert await deliveries.take_over("stopped", border) == 0
        begun = await self.kept(deliveries, begun.id)
        assert begun.next_at == border + timedelta(seconds=3600), "that is no more than its pause"
        assert (await self.kept(deliveries, paused.id)).next_at == border + timedelta(seconds=30)
        assert [one.id for one in await deliveries.due(ENDPOINT, border, 9)] == [again.id, new.id]
        await deliveries.take_over("stopped", border - timedelta(seconds=10))
        assert (await self.kept(deliveries, paused.id)).next_at == border + timedelta(seconds=20)

    async def pause(self, deliveries: Deliveries, maker: Maker, message: Message, *, seconds: float) -> None:
        """A failed attempt, and a pause after it."""
        attempt = self.attempt(maker, message)
        await deliveries.begin(attempt)
        now = maker.clock.now()
        fate = self.fate(
            message, MessageState.PENDING, failures=1, waits_since=now, next_at=now + timedelta(seconds=seconds)
        )
        await deliveries.end(attempt, Ending(outcome=DeliveryOutcome.FAILED, latency_seconds=0.5), fate)

    async def test_the_body_is_deleted_with_the_data_but_not_before_its_delivery(
        self, store: Store, deliveries: Deliveries, maker: Maker
    ) -> None:
        lease = await running(store, maker, webhook=HOOK)
        await store.finish(lease, Fact.SUCCEEDED, maker.clock.now())
        message = self.message(maker, id=completed_id(lease.prediction_id), prediction_id=lease.prediction_id)
        await deliveries.record([message], 1)
        await self.remove_data(store, maker, lease.prediction_id)
        assert (await self.kept(deliveries, message.id)).body == message.body
        attempt = self.attempt(maker, message)
        await deliveries.begin(attempt)
        done = self.fate(message, MessageState.DELIVERED)
        await deliveries.end(attempt, Ending(outcome=DeliveryOutcome.DELIVERED, latency_seconds=0.1, status=200), done)
        assert (await self.kept(deliveries, message.id)).body is None

    async def remove_data(self, store: Store, maker: Maker, prediction_id: str) -> None:
        """Remove the data of a prediction, as retention does."""
        raise NotImplementedError
