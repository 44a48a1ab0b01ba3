"""Webhooks of a process that loses the duty to send them."""

import asyncio
from typing import Any, cast

import pytest

from halley.predictions.duties import MAINTENANCE, Duty
from halley.predictions.hints import Changed, Hint, MessageWaits
from halley.webhooks.on_duty import WebhooksOnDuty
from halley.webhooks.service import WebhookService
from unit.webhooks.conftest import Room, settled

pytestmark = pytest.mark.anyio


async def elected(room: Room, session_id: str) -> Duty:
    """Who sends from now on."""
    duty = await room.store.hold_duty(MAINTENANCE, session_id, room.clock.now(), 20.0, alone=True)
    assert duty is not None
    return duty


class Node:
    """A process that sends while it has the duty, as far as it knows."""

    def __init__(self, room: Room, *, is_fenced: bool = True) -> None:
        self.made = 0
        self._is_fenced = is_fenced
        self._room = room
        self.webhooks = WebhooksOnDuty(self._make)
        room.bus.subscribe(self.webhooks.receive)

    def _make(self, duty: Duty | None) -> WebhookService:
        self.made += 1
        assert duty is not None
        deliveries = self._room.store.deliveries
        return self._room.service(deliveries.on_duty(duty) if self._is_fenced else deliveries)

    def start(self, duty: Duty) -> "asyncio.Task[None]":
        return asyncio.create_task(self.webhooks.run(duty))


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def life(room: Room) -> str:
    """A prediction that takes a while."""
    made = await room.create(events=("start", "completed"))
    await room.start(made)
    await room.pass_time(5)
    await room.finish(made)
    await room.pass_time(5)
    return made


async def test_a_late_one_sends_nothing_and_nothing_is_sent_twice() -> None:
    room = Room()
    first, second = Node(room), Node(room)
    late = first.start(await elected(room, "m1"))
    await settled()
    now = second.start(await elected(room, "m2"))
    await settled()
    await life(room)
    assert room.statuses == ["processing", "succeeded"]
    assert not late.done(), "it goes on until its maintainer notices"
    await stop(late)
    await stop(now)
    again = first.start(await elected(room, "m1"))
    await life(room)
    assert room.statuses == ["processing", "succeeded"] * 2
    assert first.made == 2, "a service of its own for each term"
    await stop(again)


async def test_a_life_that_two_senders_tell_is_told_once_and_in_order() -> None:
    room = Room()
    first, second = Node(room), Node(room)
    one = first.start(await elected(room, "m1"))
    made = await room.create(events=("start", "completed"))
    await room.start(made)
    await room.pass_time(5)
    other = second.start(await elected(room, "m2"))
    await stop(one)
    await room.pass_time(5)
    await room.finish(made)
    await room.pass_time(5)
    assert room.statuses == ["processing", "succeeded"]
    await stop(other)


async def test_planted_bug_a_late_one_whose_writes_are_not_refused_is_found() -> None:
    room = Room()
    first, second = Node(room), Node(room, is_fenced=False)
    late = second.start(await elected(room, "m2"))
    await settled()
    now = first.start(await elected(room, "m1"))
    await settled()
    await life(room)
    assert room.statuses != ["processing", "succeeded"]
    await stop(late)
    await stop(now)


def test_only_hints_that_may_be_for_a_webhook_go_further() -> None:
    heard: list[Hint] = []

    class Service:
        receive = staticmethod(heard.append)

    webhooks = WebhooksOnDuty(cast("Any", None))
    webhooks._service = cast("Any", Service())
    hints: list[Hint] = [Changed("a"), Changed("b", for_webhook=False), MessageWaits("host:80")]
    for hint in hints:
        webhooks.receive(hint)
    assert heard == [hints[0], hints[2]]
