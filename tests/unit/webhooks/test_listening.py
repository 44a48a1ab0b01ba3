"""Listening: what receivers would be told, webhook or not."""

import math

import pytest
from standardwebhooks import Webhook

from halley.webhooks.events import WebhookEvent
from halley.webhooks.listening import Copy, MessageFilter, MessageListener
from halley.webhooks.records import completed_id
from unit.webhooks.conftest import Plain, Room

pytestmark = pytest.mark.anyio
ALL = frozenset(WebhookEvent)


async def listener(room: Room, events: frozenset[WebhookEvent] = ALL, **more: object) -> MessageListener:
    async def draw(row) -> bytes:
        return await Plain().encoded(row, None)

    wanted = MessageFilter(account_id="anna", key_id=more.pop("key_id", None), events=events)
    return await room.desk.listener(wanted, draw, **more)


def told(copies: list[Copy]) -> list[str]:
    return [copy.event.value for copy in copies]


async def test_predictions_without_webhook_are_received(room: Room) -> None:
    ear = await listener(room)
    made = await room.done(None)
    copies = await ear.hear()
    assert told(copies) == ["start", "completed"]
    assert copies[1].id == completed_id(made)
    assert copies[1].headers["webhook-id"] == completed_id(made)
    assert b"succeeded" in copies[1].body
    assert room.told == []


async def test_copies_are_signed_as_for_a_receiver(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Webhook, "_Webhook__verify_timestamp", lambda self, stamp: room.clock.now())
    ear = await listener(room)
    await room.done(None)
    for copy in await ear.hear():
        Webhook(await room.desk.secret("anna")).verify(copy.body, copy.headers, json_parse=False)


async def test_the_same_end_has_the_same_id_for_a_receiver(room: Room) -> None:
    ear = await listener(room, frozenset({WebhookEvent.COMPLETED}))
    await room.done()
    await room.pass_time(0.5)
    (copy,) = await ear.hear()
    assert [one.id for one in room.told] == [copy.id]


async def test_messages_of_other_accounts_are_not_received(room: Room) -> None:
    ear, own = await listener(room), await listener(room, key_id="k1")
    await room.done(None, account_id="bert")
    assert await ear.hear() == []
    await room.done(None, key_id="k2")
    assert await own.hear() == []
    assert told(await ear.hear()) == ["start", "completed"]


async def test_passing_states_have_the_pace_of_a_receiver(room: Room) -> None:
    ear = await listener(room)
    made = await room.create(None)
    await room.start(made)
    assert told(await ear.hear()) == ["start"]
    await room.say(made, room.maker.part(1))
    assert told(await ear.hear()) == ["output"]
    await room.say(made, room.maker.part(2))
    assert await ear.hear() == []
    room.clock.advance(0.5)
    (copy,) = await ear.hear()
    assert b"[1, 2]" in copy.body
    await room.say(made, room.maker.part(3))
    await room.finish(made)
    assert told(await ear.hear()) == ["completed"]


async def test_it_begins_now_or_at_a_time_or_where_it_was(room: Room) -> None:
    early = await room.done(None)
    room.clock.advance(60)
    since = room.clock.now()
    late = await room.done(None)
    room.clock.advance(60)
    ends = frozenset({WebhookEvent.COMPLETED})
    assert await (await listener(room, ends)).hear() == []
    from_then = await (await listener(room, ends, created_after=since)).hear()
    assert [copy.prediction_id for copy in from_then] == [late]
    everything = await listener(room, ends, after=0)
    assert [copy.prediction_id for copy in await everything.hear()] == [early, late]
    again = await listener(room, ends, after=everything.position)
    assert await again.hear() == []


async def test_a_listener_interrupted_inside_a_batch_gets_it_again(room: Room) -> None:
    for _ in range(3):
        await room.done(None)
    ends = frozenset({WebhookEvent.COMPLETED})
    ear = await listener(room, ends, after=0)
    copies = await ear.hear()
    assert [copy.position for copy in copies] == [0, 0, ear.position]


async def test_what_the_pace_holds_back_is_due_without_another_change(room: Room) -> None:
    ear = await listener(room)
    assert ear.due_seconds == math.inf
    made = await room.create(None)
    await room.start(made)
    for part in (1, 2):
        await room.say(made, room.maker.part(part))
        await ear.hear()
    assert 0 < ear.due_seconds <= 0.5
    room.clock.advance(ear.due_seconds)
    assert told(await ear.hear()) == ["output"]
    assert ear.due_seconds == math.inf
