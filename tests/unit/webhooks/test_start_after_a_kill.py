"""A server is killed after it sent a start, before it stored its position: the next one reads that start again."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from halley.predictions.hints import Changed
from halley.predictions.status import Status
from halley.testing.stores.maker import on_duty
from halley.webhooks.events import WebhookEvent
from unit.webhooks.conftest import Room

pytestmark = pytest.mark.anyio
ALL = ("start", "output", "logs", "completed")


async def killed_after(room: Room, monkeypatch: pytest.MonkeyPatch, *events: Any, wanted: tuple[str, ...] = ALL) -> str:
    """A prediction whose first state was sent, with these events. A killed server leaves the store as it is now."""

    def never(*_args: Any) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    with monkeypatch.context() as patched:
        patched.setattr(room.store.deliveries, "record", never)
        made = await room.create(events=wanted)
        await room.start(made, tell=False)
        await room.say(made, room.maker.started(), *events)
        await room.pass_time(0.1)
        await room.kill()
    assert await room.store.deliveries.position() == 0
    assert room.statuses == ["processing"]
    return made


async def sent_after(room: Room, made: str) -> list[str]:
    """What the next server sends: the events of its messages. None may be behind one that was sent before."""
    await room.begin()
    room.bus.publish(Changed(made))
    await room.pass_time(3)
    steps = [(one.body["status"] != "processing", one.body["output"] or [], one.body["logs"]) for one in room.told]
    assert all(earlier <= later for earlier, later in pairwise(steps)), steps
    return [str(line.event) for line in await room.log()][1:]


async def test_it_is_not_sent_again_if_its_prediction_was_lost_with_the_server(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await killed_after(room, monkeypatch, room.maker.part("a"), room.maker.said("one\n"))
    await room.store.reap(await on_duty(room.store), room.clock.now(), all_but="new")
    assert (await room.store.get(made)).status is Status.FAILED
    assert await sent_after(room, made) == ["completed"]


async def test_it_is_not_sent_again_if_its_prediction_has_ended(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await killed_after(room, monkeypatch, room.maker.said("one\n"))
    await room.finish(made)
    assert await sent_after(room, made) == ["completed"]


async def test_it_is_not_sent_again_if_its_prediction_waits_for_its_second_attempt(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await killed_after(room, monkeypatch, room.maker.said("one\n"))
    await room.store.reap(await on_duty(room.store), room.clock.now(), all_but="new")
    assert await sent_after(room, made) == ["logs"]


async def test_it_is_not_sent_behind_another_state(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first message was about logs."""
    with monkeypatch.context() as patched:
        patched.setattr("halley.webhooks.pace.PASSING", (WebhookEvent.LOGS, WebhookEvent.START))
        made = await killed_after(room, patched, room.maker.said("one\n"), wanted=("start", "logs", "completed"))
    await room.finish(made)
    assert await sent_after(room, made) == ["completed"]


async def test_one_that_was_not_sent_before_is_sent(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.kill()
    made = await room.create(events=ALL)
    await room.start(made)
    await room.finish(made)
    assert await sent_after(room, made) == ["completed"]
    assert room.statuses == ["processing", "succeeded"]
