"""Which messages are sent, when, and in which order."""

import asyncio
from itertools import pairwise

import pytest

from halley.predictions.hints import Changed
from halley.predictions.status import Fact
from halley.testing.stores.maker import on_duty
from halley.webhooks.updates import Updates
from unit.webhooks.conftest import HOOK, Room, settled

pytestmark = pytest.mark.anyio
ALL = ("start", "output", "logs", "completed")


async def test_the_events_of_a_prediction_are_in_order(room: Room) -> None:
    made = await room.create(events=ALL)
    await room.start(made)
    await room.pass_time(1)
    await room.say(made, room.maker.said("one\n"))
    await room.pass_time(1)
    await room.say(made, room.maker.part("a"))
    await room.pass_time(1)
    await room.finish(made)
    await room.pass_time(1)
    assert [(one.body["status"], one.body["logs"], one.body["output"]) for one in room.told] == [
        ("processing", "", None),
        ("processing", "one\n", None),
        ("processing", "one\n", ["a"]),
        ("succeeded", "one\n", ["a"]),
    ]
    assert [line.event for line in await room.log()] == ["start", "logs", "output", "completed"]
    assert len({one.id for one in room.told}) == 4


async def test_the_start_of_a_second_attempt_removes_nothing_that_was_sent(room: Room) -> None:
    made = await room.create(events=ALL)
    await room.start(made)
    await room.pass_time(1)
    await room.store.reap(await on_duty(room.store), room.clock.now(), all_but="new")
    room.bus.publish(Changed(made))
    await room.pass_time(2)
    await room.kill()
    await room.start(made)
    await room.finish(made, room.maker.said("again\n"))
    await room.begin()
    await room.pass_time(1)
    assert [line.event for line in await room.log()] == ["start", "logs", "completed"]  # one start for both attempts
    logs = [one.body["logs"] for one in room.told]
    assert all(later.startswith(earlier) for earlier, later in pairwise(logs)), logs


async def test_by_default_outputs_and_the_end_are_sent(room: Room) -> None:
    made = await room.create()
    await room.start(made)
    await room.say(made, room.maker.said("one\n"))
    await room.pass_time(1)
    assert room.told == []
    await room.say(made, room.maker.part("a"))
    await room.pass_time(1)
    await room.finish(made)
    await room.pass_time(1)
    assert [line.event for line in await room.log()] == ["output", "completed"]


@pytest.mark.parametrize(("events", "told"), [((), []), (("logs",), ["logs"]), (("completed",), ["completed"])])
async def test_a_filter_is_kept_to(room: Room, events: tuple[str, ...], told: list[str]) -> None:
    made = await room.create(events=events)
    await room.start(made)
    await room.say(made, room.maker.said("x"), room.maker.part(1))
    await room.pass_time(1)
    await room.finish(made)
    await room.pass_time(1)
    assert [line.event for line in await room.log()] == told


@pytest.mark.parametrize("fact", [Fact.SUCCEEDED, Fact.FAILED, Fact.DEADLINE_PASSED])
async def test_every_end_is_sent_once_under_the_same_id(room: Room, fact: Fact) -> None:
    made = await room.create()
    await room.start(made)
    await room.finish(made, fact=fact)
    await room.pass_time(5)
    (told,) = room.told
    assert told.id == f"msg_{made}"
    assert told.body["status"] == (await room.store.get(made)).status


async def test_an_end_without_a_beginning_has_no_start(room: Room) -> None:
    made = await room.create(events=ALL)
    await room.store.cancel(made, None, room.clock.now())
    room.bus.publish(Changed(made))
    await room.pass_time(1)
    assert room.statuses == ["canceled"]


async def test_outputs_are_sent_twice_a_second_with_the_latest_state(room: Room) -> None:
    made = await room.create(events=("output",))
    await room.start(made)
    for number in range(40):  # two seconds of an output every 50 ms
        await room.say(made, room.maker.part(number))
        await room.pass_time(0.05)
    await room.pass_time(2)
    times = [one.at for one in room.told]
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(times))
    assert 4 <= len(times) <= 6
    assert len(room.told[0].body["output"]) <= 2  # the first was told at once
    assert room.told[-1].body["output"] == list(range(40))


async def test_kinds_have_a_pace_of_their_own(room: Room) -> None:
    made = await room.create(events=("output", "logs"))
    await room.start(made)
    await room.say(made, room.maker.part(1))
    await room.pass_time(0.1)
    await room.say(made, room.maker.said("x"))
    await room.pass_time(0.1)
    assert [line.event for line in await room.log()] == ["output", "logs"]


async def test_one_message_has_all_pending_kinds(room: Room) -> None:
    made = await room.create(events=("start", "output", "logs"))
    await room.start(made, tell=False)
    await room.say(made, room.maker.started(), room.maker.part(1), room.maker.said("x"))
    await room.pass_time(2)
    (told,) = room.told
    assert (told.body["output"], told.body["logs"]) == ([1], "x")


async def test_pending_states_are_dropped_when_the_end_is_sent(room: Room) -> None:
    made = await room.create()
    await room.start(made)
    await room.say(made, room.maker.part(1))
    await room.pass_time(0.1)
    await room.say(made, room.maker.part(2))  # its turn would come in 0.4 s
    await room.finish(made)
    await room.pass_time(3)
    assert [(one.body["status"], one.body["output"]) for one in room.told] == [
        ("processing", [1]),
        ("succeeded", [1, 2]),
    ]
    assert room.told[1].at - room.told[0].at < 0.3  # and nobody waits for that turn


async def test_a_start_is_sent_although_the_end_is_stored(room: Room) -> None:
    await room.done(events=("start", "completed"))
    await room.pass_time(1)
    assert [(one.body["status"], one.body["output"]) for one in room.told] == [
        ("processing", None),
        ("succeeded", "done"),
    ]


async def overtaking(room: Room) -> list[str]:
    """An output is on its way, slowly, when the end comes."""
    made = await room.create()
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    await room.start(made)
    await room.say(made, room.maker.part(1))
    await room.pass_time(0.2)
    await room.finish(made)
    await room.pass_time(0.2)
    while_held = room.statuses[:]
    gate.set()
    await room.pass_time(0.2)
    return while_held


async def test_the_end_waits_for_what_is_under_way(room: Room) -> None:
    assert await overtaking(room) == ["processing"]
    assert room.statuses == ["processing", "succeeded"]


async def test_planted_bug_an_end_that_does_not_wait_is_seen(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Updates, "is_busy", lambda self, prediction_id: False)
    assert await overtaking(room) == ["processing", "succeeded"]


async def test_a_late_intermediate_state_is_not_sent(room: Room) -> None:
    made = await room.create()
    await room.start(made)
    await room.say(made, room.maker.part(1))  # told of at the next look
    await room.store.cancel(made, None, room.clock.now())  # no hint: it is found by the row alone
    await room.pass_time(3)
    assert room.statuses == ["canceled"]


async def test_links_begin_as_in_the_answer_to_the_create(room: Room) -> None:
    import msgspec

    new = msgspec.structs.replace(room.maker.new(webhook=HOOK), link_base="https://h.example/replicate")
    await room.store.create(new)
    await room.start(new.prediction.id)
    await room.say(new.prediction.id, room.maker.part(1))
    await room.pass_time(1)
    await room.finish(new.prediction.id)
    await room.pass_time(1)
    assert [one.body["base"] for one in room.told] == ["https://h.example/replicate"] * 2
    assert await room.store.deliveries.link_base(new.prediction.id) is None


async def test_predictions_without_webhook_are_not_even_looked_at(room: Room) -> None:
    await room.done(None)
    await room.pass_time(3)
    assert room.told == []
    assert await room.store.deliveries.position() == 0


async def test_a_lost_hint_costs_one_poll(room: Room) -> None:
    room.bus._receivers.clear()
    await room.done()
    await room.pass_time(2.1)
    assert room.statuses == ["succeeded"]


async def test_many_ends_at_once_all_arrive(room: Room) -> None:
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    made = [await room.done() for _ in range(60)]
    await room.pass_time(1)
    assert room.receiver.under_way == 4
    gate.set()
    await room.pass_time(1)
    assert sorted(one.body["id"] for one in room.told) == sorted(made)
    assert room.receiver.most_under_way == 4


async def test_a_prediction_that_cannot_be_rendered_delays_no_other(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = room.webhooks._feed._pictures
    encoded = pictures.encoded

    async def broken(row, base):
        if row.id == bad:
            raise ValueError("odd")
        return await encoded(row, base)

    monkeypatch.setattr(pictures, "encoded", broken)
    bad = await room.create()
    await room.start(bad)
    await room.finish(bad)
    good = await room.done()
    await room.pass_time(1)
    assert [one.body["id"] for one in room.told] == [good]
    assert f"the end of {bad} cannot be reported" in caplog.text


async def test_a_state_that_cannot_be_rendered_affects_no_other(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(row, base):
        raise ValueError("odd")

    with monkeypatch.context() as patched:
        patched.setattr(room.webhooks._updates._pictures, "encoded", broken)
        made = await room.create()
        await room.start(made)
        await room.say(made, room.maker.part(1))
        await room.pass_time(1)
    await room.finish(made)
    await room.pass_time(1)
    assert room.statuses == ["succeeded"]
    assert f"a state of {made} cannot be reported" in caplog.text
    assert not room.has_crashed


async def test_a_url_that_an_older_version_accepted_delays_no_other(room: Room) -> None:
    made = await room.create("https://h.example\\@x/")
    await room.start(made)
    await room.say(made, room.maker.part(1))
    await room.finish(made)
    good = await room.done()
    await room.pass_time(1)
    assert [one.body["id"] for one in room.told] == [good]
    assert not room.has_crashed


async def test_nothing_is_left_of_what_is_over(room: Room) -> None:
    for _ in range(3):
        made = await room.create(events=ALL)
        await room.start(made)
        await room.say(made, room.maker.part(1))
        await room.pass_time(1)
        await room.finish(made)
    await room.pass_time(2)
    await settled()
    assert room.webhooks._updates._pending == {}
    assert room.webhooks._queues._queues == {}
