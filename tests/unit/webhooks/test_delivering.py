"""Attempts: when they are repeated, when not, and what the log says of them."""

import asyncio
import hashlib
from datetime import timedelta

import msgspec
import pytest

from halley.errors import AddressRefused, FetchFailed, StorageFull
from halley.predictions.status import Fact
from halley.webhooks.ports import Posted
from halley.webhooks.records import DeliveryOutcome, MessageState, completed_id
from halley.webhooks.schedule import Schedule
from unit.webhooks.conftest import HOOK, Room, settled

pytestmark = pytest.mark.anyio
DOWN = FetchFailed("https://receiver.example/hook could not be reached: ConnectError")


async def state_of(room: Room, prediction_id: str) -> MessageState:
    message = await room.store.deliveries.message(completed_id(prediction_id))
    assert message is not None
    return message.state


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_success(room: Room, status: int) -> None:
    room.receiver.always = status
    made = await room.done()
    await room.pass_time(120)
    assert len(room.told) == 1
    assert await state_of(room, made) is MessageState.DELIVERED
    (line,) = await room.log()
    assert (line.outcome, line.status, line.answer, line.error) == (DeliveryOutcome.DELIVERED, status, b"said", None)


@pytest.mark.parametrize("answer", [301, 404, 429, 500, DOWN, AddressRefused("private")])
async def test_everything_else_is_tried_again_for_about_a_minute(room: Room, answer: int | Exception) -> None:
    room.receiver.always = answer
    began = room.clock.monotonic()
    made = await room.done()
    await room.pass_time(300)
    assert [round(one.at - began) for one in room.told] == [0, 2, 6, 14, 30, 62]
    assert len({one.id for one in room.told}) == 1
    assert len({one.content for one in room.told}) == 1
    assert len({one.headers["webhook-timestamp"] for one in room.told}) == 6  # and signed anew each time
    assert await state_of(room, made) is MessageState.FAILED
    log = await room.log()
    assert [line.attempt for line in log] == [1, 2, 3, 4, 5, 6]
    assert {line.outcome for line in log} == {DeliveryOutcome.FAILED}
    planned = [(line.next_at - line.started_at).total_seconds() if line.next_at else None for line in log]
    assert planned == pytest.approx([2, 4, 8, 16, 32, None], abs=0.01)


async def test_a_redirect_is_not_followed_and_the_log_says_so(room: Room) -> None:
    room.receiver.answers = [Posted(status=301, headers={"location": "https://other.example/"}, body=b"")]
    await room.done()
    await room.pass_time(3)
    assert {one.url for one in room.told} == {HOOK}
    first, second = await room.log()
    assert "not followed" in (first.error or "")
    assert second.outcome is DeliveryOutcome.DELIVERED


async def test_an_attempt_of_a_passing_state_is_made_once(room: Room) -> None:
    room.receiver.answers = [500]
    made = await room.create()
    await room.start(made)
    await room.say(made, room.maker.part(1))
    await room.pass_time(60)
    (line,) = await room.log()
    assert (line.event, line.outcome, line.next_at) == ("output", DeliveryOutcome.FAILED, None)


async def test_410_ends_delivery_for_this_prediction_only(room: Room) -> None:
    room.receiver.answers = [410]
    gone = await room.done()
    other = await room.done()
    await room.pass_time(100)
    assert await state_of(room, gone) is MessageState.GONE
    assert await state_of(room, other) is MessageState.DELIVERED
    assert len(room.told) == 2


async def test_410_for_a_passing_state_ends_the_others_too(room: Room) -> None:
    room.receiver.answers = [410]
    made = await room.create()
    await room.start(made)
    await room.say(made, room.maker.part(1))
    await room.pass_time(1)
    await room.say(made, room.maker.part(2))
    await room.pass_time(1)
    await room.finish(made)
    await room.pass_time(100)
    assert len(room.told) == 1
    assert await state_of(room, made) is MessageState.GONE


async def test_a_receiver_may_ask_for_more_time(room: Room) -> None:
    busy = Posted(status=429, headers={"retry-after": "30"}, body=b"")
    room.receiver.answers = [busy]
    began = room.clock.monotonic()
    await room.done()
    await room.pass_time(60)
    assert [round(one.at - began) for one in room.told] == [0, 30]


async def test_a_receiver_that_is_down_for_an_hour_gets_everything_afterwards(anyio_backend: str) -> None:
    room = Room(retry_for_seconds=3 * 86_400)
    await room.begin()
    room.receiver.always = DOWN
    made = [await room.done() for _ in range(5)]
    await room.pass_time(3600)
    assert len(room.told) == 5 * 11  # 2 s, doubling
    room.receiver.always = 200
    await room.pass_time(4096)
    arrived = room.told[55:]
    assert sorted(one.id for one in arrived) == sorted(completed_id(each) for each in made)
    assert {await state_of(room, each) for each in made} == {MessageState.DELIVERED}
    await room.kill()


def test_the_longest_schedule_ends_within_three_days() -> None:
    schedule = Schedule(2.0, 3 * 86_400, lambda low, high: (low + high) / 2)
    pauses: list[float] = []
    while (pause := schedule.pause(len(pauses) + 1)) is not None:
        pauses.append(pause)
    assert pauses[:5] == [2, 4, 8, 16, 32]
    assert max(pauses) == 6 * 3600
    assert 2.5 * 86_400 < sum(pauses) <= 3 * 86_400


def test_pauses_are_spread() -> None:
    seen: list[tuple[float, float]] = []
    schedule = Schedule(2.0, 62.0, lambda low, high: seen.append((low, high)) or low)
    assert [schedule.pause(n) for n in range(1, 7)] == pytest.approx([1.6, 3.2, 6.4, 12.8, 25.6, None])
    assert seen[0] == (0.8, 1.2)
    assert schedule.pause(1, at_least=100.0) == 100.0
    assert schedule.pause(1, at_least=1e9) == 6 * 3600


async def test_a_slow_receiver_delays_no_other(room: Room) -> None:
    slow = "https://slow.example/hook"
    room.receiver.gates[slow] = asyncio.Event()
    for _ in range(50):
        await room.done(slow)
    quick = [await room.done() for _ in range(5)]
    await room.pass_time(0.5)
    assert [one.body["id"] for one in room.told if one.url == HOOK] == quick
    assert sum(one.url == slow for one in room.told) == 4


def slow_ones(room: Room, count: int) -> list[str]:
    """Hooks of receivers that do not answer."""
    hooks = [f"https://slow{number}.example/hook" for number in range(count)]
    room.receiver.gates |= dict.fromkeys(hooks, asyncio.Event())
    return hooks


async def answered(room: Room, hooks: list[str], *, but: tuple[str, ...] = ()) -> None:
    """After three seconds what is under way to them is answered; what comes then is not."""
    await room.pass_time(3)
    gates = {room.receiver.gates.pop(hook) for hook in hooks}
    room.receiver.gates |= dict.fromkeys(set(hooks) - set(but), asyncio.Event())
    for gate in gates:
        gate.set()
    await room.pass_time(0.2)


async def test_many_slow_receivers_together_delay_no_other(room: Room) -> None:
    hooks = slow_ones(room, 64)
    for hook in hooks * 4:
        await room.done(hook)
    await room.pass_time(1)
    assert room.receiver.under_way == 128, "one each, and a quarter of all that may be under way"
    quick = await room.done()
    await room.pass_time(0.5)
    assert room.told[-1].body["id"] == quick


async def test_any_number_of_new_receivers_delays_none_that_is_known_to_answer(room: Room) -> None:
    await room.done()
    await room.pass_time(0.5)
    hooks = slow_ones(room, 300)
    for hook in hooks:
        await room.done(hook)
    await room.pass_time(1)
    assert room.receiver.under_way == 96
    quick = [await room.done() for _ in range(20)]
    await room.pass_time(0.5)
    assert [one.body["id"] for one in room.told if one.url == HOOK][1:] == quick


async def test_any_number_of_receivers_known_to_be_slow_delays_no_new_one(room: Room) -> None:
    hooks = slow_ones(room, 300)
    for hook in hooks:
        await room.done(hook)
    for _ in range(4):
        await answered(room, hooks)
    assert room.receiver.under_way == 0
    for hook in hooks:
        await room.done(hook)
    await room.pass_time(1)
    assert room.receiver.under_way == 64
    new = await room.done()
    await room.pass_time(0.5)
    assert room.told[-1].body["id"] == new


async def test_another_account_s_first_message_waits_for_one_attempt_at_most(room: Room) -> None:
    hooks = slow_ones(room, 400)
    for hook in hooks:
        await room.done(hook, account_id="mallory")
    await room.pass_time(1)
    assert room.receiver.under_way == 96
    mine = [await room.done(f"https://new{number}.example/hook") for number in range(20)]
    await answered(room, hooks)
    assert {one.body["id"] for one in room.told} >= set(mine)
    assert room.receiver.under_way >= 64, "and mallory's go on"


async def test_a_recovered_receiver_is_served_after_one_attempt_of_each_other(room: Room) -> None:
    hooks = slow_ones(room, 65)
    for hook in hooks:
        await room.done(hook)
    await answered(room, hooks, but=(hooks[0],))
    for hook in hooks[1:] * 4:
        await room.done(hook)
    await room.pass_time(0.5)
    mended = [await room.done(hooks[0]) for _ in range(3)]
    await room.pass_time(0.5)
    assert room.receiver.under_way == 64
    assert all(one.url != hooks[0] for one in room.told[65:])
    await answered(room, hooks[1:])
    assert [one.body["id"] for one in room.told[65:] if one.url == hooks[0]][:1] == mended[:1]
    later = await room.done(hooks[0])
    await room.pass_time(0.2)
    assert room.told[-1].body["id"] == later, "it is known to answer again"


async def test_a_slow_receiver_gets_its_ends_before_its_passing_states(anyio_backend: str) -> None:
    room = Room(per_endpoint=1)
    await room.begin()
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    await room.done()
    await room.pass_time(0.1)
    live = await room.create(events=("output",))
    await room.start(live)
    await room.say(live, room.maker.part(1))
    last = await room.done()
    await room.pass_time(0.2)
    room.receiver.gates.clear()
    gate.set()
    await room.pass_time(0.2)
    assert [one.body["id"] for one in room.told[1:]] == [last, live]
    await room.kill()


async def test_the_log_holds_what_was_sent_but_no_password(room: Room) -> None:
    hook = "https://me:p%40ss@receiver.example/hook?token=secret"
    await room.done(hook)
    await room.pass_time(0.2)
    (arrived,) = room.told
    assert arrived.url == "https://receiver.example/hook?token=secret"
    assert arrived.headers["authorization"] == "Basic bWU6cEBzcw=="  # me:p@ss
    (line,) = await room.log()
    assert line.url == hook  # to its owner it is shown as given
    assert dict(line.headers) == {**arrived.headers, "authorization": "********"}
    assert line.body_sha256 == hashlib.sha256(arrived.content).hexdigest()
    assert line.body_bytes == len(arrived.content)


async def test_no_secret_of_the_url_comes_into_the_server_s_log(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    room.receiver.always = 500
    await room.done("https://me:passw@receiver.example/hook?token=sesame")
    await room.pass_time(80)
    assert "receiver.example/hook" in caplog.text
    assert "passw" not in caplog.text
    assert "sesame" not in caplog.text


async def test_an_attempt_with_an_internal_error_counts_as_failed(room: Room) -> None:
    room.receiver.answers = [UnicodeError("odd answer")]
    await room.done()
    await room.pass_time(3)
    first, second = await room.log()
    assert (first.outcome, second.outcome) == (DeliveryOutcome.FAILED, DeliveryOutcome.DELIVERED)
    assert "internal error" in (first.error or "")
    assert not room.has_crashed


# restarts


async def test_a_restart_continues_where_it_stopped(room: Room) -> None:
    room.receiver.always = 500
    made = await room.done()
    await room.pass_time(7)
    assert len(room.told) == 3
    await room.kill()
    await room.pass_time(20)
    room.receiver.always = 200
    await room.begin()
    await room.pass_time(1)
    assert len(room.told) == 4
    assert {one.id for one in room.told} == {completed_id(made)}
    assert await state_of(room, made) is MessageState.DELIVERED


async def test_an_attempt_cut_by_a_crash_shows_and_is_repeated(room: Room) -> None:
    room.receiver.gates[HOOK] = asyncio.Event()
    await room.done()
    await room.pass_time(0.2)
    await room.kill()
    room.receiver.gates.clear()
    await room.begin()
    await room.pass_time(0.2)
    first, second = await room.log()
    assert (first.outcome, second.outcome) == (DeliveryOutcome.INTERRUPTED, DeliveryOutcome.DELIVERED)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.message_id == second.message_id
    assert "it is unknown" in (first.error or "")


async def test_a_crash_in_the_last_attempt_costs_nothing(room: Room) -> None:
    room.receiver.always = 500
    made = await room.done()
    await room.pass_time(61)
    assert len(room.told) == 5
    room.receiver.gates[HOOK] = asyncio.Event()
    await room.pass_time(2)
    assert len(room.told) == 6
    await room.kill()
    room.receiver.gates.clear()
    room.receiver.always = 200
    await room.begin()
    await room.pass_time(1)
    assert await state_of(room, made) is MessageState.DELIVERED


async def test_an_end_that_was_not_read_before_the_crash_is_sent_afterwards(room: Room) -> None:
    await room.kill()
    made = await room.done()
    await room.begin()
    await room.pass_time(0.1)
    assert [one.id for one in room.told] == [completed_id(made)]


async def test_planted_bug_a_position_that_moves_before_the_message_is_stored_loses_it(room: Room) -> None:
    record = room.store.deliveries.record

    async def position_first(messages, position, ended=()):
        await record([], position, ended)
        await asyncio.Event().wait()  # the crash comes here

    room.store.deliveries.record = position_first
    made = await room.done()
    await room.pass_time(0.2)
    await room.kill()
    room.store.deliveries.record = record
    await room.begin()
    await room.pass_time(5)
    assert await room.store.deliveries.message(completed_id(made)) is None
    assert room.told == []


async def test_a_stop_lets_attempts_end_and_begins_no_more(room: Room) -> None:
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    made = [await room.done() for _ in range(6)]
    await room.pass_time(0.2)
    draining = asyncio.create_task(room.webhooks.drain())
    await room.pass_time(3)
    assert not draining.done()
    gate.set()
    await room.pass_time(0.5)
    assert draining.done()
    assert len(room.told) == 4
    await room.kill()
    await room.begin()
    await room.pass_time(0.5)
    assert sorted(one.body["id"] for one in room.told) == sorted(made)
    assert {line.outcome for line in await room.log()} == {DeliveryOutcome.DELIVERED}


async def test_a_stop_sends_an_end_that_just_came(room: Room) -> None:
    made = await room.done()
    draining = asyncio.create_task(room.webhooks.drain())
    await room.pass_time(0.5)
    assert draining.done()
    assert [one.body["id"] for one in room.told] == [made]


async def test_a_stop_ends_in_bounded_time(room: Room) -> None:
    room.receiver.gates[HOOK] = asyncio.Event()
    await room.done()
    await room.pass_time(0.2)
    draining = asyncio.create_task(room.webhooks.drain())
    await room.pass_time(10.2)
    assert draining.done()


# faults of our own


async def test_a_full_disk_delays_and_loses_nothing(room: Room) -> None:
    record = room.store.deliveries.record
    fails = 3

    async def full(*args):
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise StorageFull("no room")
        await record(*args)

    room.store.deliveries.record = full
    made = await room.done()
    await room.pass_time(5)
    assert [one.id for one in room.told] == [completed_id(made)]


async def test_a_broken_store_ends_the_service(room: Room) -> None:
    async def broken(*args):
        raise RuntimeError("the disk is gone")

    room.store.deliveries.record = broken
    await room.done()
    await room.pass_time(0.2)
    assert room.has_crashed


@pytest.mark.parametrize("seconds", [86_400, -86_400])
async def test_a_clock_that_is_set_moves_no_pending_attempt(room: Room, seconds: int) -> None:
    room.receiver.always = 500
    began = room.clock.monotonic()
    await room.done()
    await room.pass_time(7.5)
    room.clock.jump(seconds)
    await room.pass_time(120)
    assert [round(one.at - began) for one in room.told] == [0, 2, 6, 14, 30, 62]
    stamps = [int(one.headers["webhook-timestamp"]) for one in room.told]
    assert abs(stamps[3] - stamps[2] - seconds) < 20  # what is signed is the wall clock, as the receiver's is


@pytest.mark.parametrize("seconds", [86_400, 1.5, -1.5, -86_400])
@pytest.mark.parametrize("passed", [0.0, 0.5, 1.9, 30.0])
async def test_what_fails_after_the_clock_was_set_is_tried_again_in_time(
    room: Room, seconds: float, passed: float
) -> None:
    await room.pass_time(1)
    room.clock.jump(seconds)
    await room.pass_time(passed)
    room.receiver.answers = [500]
    began = room.clock.monotonic()
    made = await room.done()
    await room.pass_time(10)
    assert [round(one.at - began) for one in room.told] == [0, 2]
    assert await state_of(room, made) is MessageState.DELIVERED
    (first, _) = await room.log()
    assert first.next_at is not None
    assert (first.next_at - first.started_at).total_seconds() == pytest.approx(2, abs=0.01), "as the clock shows it now"


async def test_an_attempt_during_which_the_clock_is_set_is_repeated_in_time(room: Room) -> None:
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    room.receiver.answers = [500]
    began = room.clock.monotonic()
    await room.done()
    await room.pass_time(1)
    room.clock.jump(86_400)
    await room.pass_time(5)
    room.receiver.gates.clear()
    gate.set()
    await room.pass_time(10)
    assert [round(one.at - began) for one in room.told] == [0, 8]


@pytest.mark.parametrize("seconds", [-86_400, -3600, -100])
async def test_a_clock_that_was_set_back_while_nobody_ran_delays_nothing_by_more_than_its_pause(
    room: Room, seconds: int
) -> None:
    room.receiver.always = 500
    made = await room.done()
    await room.pass_time(15)
    assert len(room.told) == 4
    await room.kill()
    unsent = await room.done()
    await room.begin()
    await room.kill()  # its message is made, and was not taken
    await room.pass_time(2)
    room.clock.jump(seconds)
    room.receiver.always = 200
    before = len(room.told)
    await room.begin()
    began = room.clock.monotonic()
    await room.pass_time(600)
    assert [(one.body["id"], round(one.at - began)) for one in room.told[before:]] == [(unsent, 2), (made, 16)]


async def test_a_clock_that_was_set_forward_while_nobody_ran_makes_all_due(room: Room) -> None:
    room.receiver.always = 500
    made = await room.done()
    await room.pass_time(31)
    await room.kill()
    room.clock.jump(86_400)
    room.receiver.always = 200
    await room.begin()
    await room.pass_time(1)
    assert await state_of(room, made) is MessageState.DELIVERED


async def test_time_that_the_machine_slept_has_passed(anyio_backend: str) -> None:
    room = Room(retry_for_seconds=3 * 86_400)
    await room.begin()
    room.receiver.always = 500
    await room.done()
    await room.pass_time(3600)
    before = len(room.told)
    room.clock.suspend(6 * 3600)
    await room.pass_time(61)
    assert len(room.told) == before + 1
    await room.kill()


async def test_a_late_delivery_keeps_its_body_after_the_data_was_removed(room: Room) -> None:
    room.receiver.answers = [500, 500]
    made = await room.done()
    await room.pass_time(1)
    entry = room.store._entries[made]
    entry.prediction = msgspec.structs.replace(entry.prediction, data_removed_at=room.clock.now(), output=None)
    await room.pass_time(10)
    assert [one.body["output"] for one in room.told] == ["done"] * 3
    message = await room.store.deliveries.message(completed_id(made))
    assert message is not None
    assert message.body is None  # delivered: now it goes, too


async def test_the_log_ends_after_its_time(room: Room) -> None:
    await room.done()
    await room.pass_time(1)
    room.clock.advance(7 * 86_400 + 120)
    await settled()
    await room.pass_time(61)
    assert await room.log() == []


async def test_a_message_can_be_sent_again(room: Room) -> None:
    room.receiver.always = 500
    made = await room.done()
    await room.pass_time(100)
    room.receiver.always = 200
    (*_, last) = await room.log()
    message = await room.desk.resend(last.id, "anna")
    assert message.state is MessageState.PENDING
    await room.pass_time(0.5)
    assert len(room.told) == 7
    assert {one.id for one in room.told} == {completed_id(made)}
    assert (await room.log())[-1].attempt == 7
    assert await state_of(room, made) is MessageState.DELIVERED


async def test_a_message_is_sent_again_though_the_hint_about_it_is_lost(room: Room) -> None:
    room.receiver.always = 500
    await room.done()
    await room.pass_time(100)
    (*_, last) = await room.log()
    room.bus.publish = lambda _: None  # type: ignore[method-assign]
    await room.desk.resend(last.id, "anna")
    await room.pass_time(2.1)
    assert len(room.told) == 7


async def test_sending_again_while_it_is_pending_makes_it_due_now(room: Room) -> None:
    room.receiver.answers = [500]
    await room.done()
    await room.pass_time(0.2)
    (line,) = await room.log()
    await room.desk.resend(line.id, "anna")
    await room.pass_time(0.2)
    assert len(room.told) == 2
    await room.pass_time(60)
    assert len(room.told) == 2


@pytest.mark.parametrize("answer", [500, 200])
async def test_sending_again_while_the_last_attempt_is_under_way_is_not_lost(room: Room, answer: int) -> None:
    room.receiver.always = 500
    made = await room.done()
    await room.pass_time(61)
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    await room.pass_time(5)
    assert len(room.told) == 6
    (*_, last) = await room.log()
    message = await room.desk.resend(last.id, "anna")
    assert (message.state, message.failures, message.next_at) == (MessageState.PENDING, 0, room.clock.now())
    room.receiver.answers = [answer]
    room.receiver.gates.clear()
    began = room.clock.monotonic()
    gate.set()
    await room.pass_time(100)
    assert [round(one.at - began) for one in room.told[6:]] == [0, 2, 6, 14, 30, 62]
    assert await state_of(room, made) is MessageState.FAILED


async def test_an_unfinished_prediction_keeps_its_slot(room: Room) -> None:
    """A prediction that ends while its start waits for a slot: both come, in order."""
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    for _ in range(4):
        await room.done()
    await room.pass_time(0.1)
    made = await room.create(events=("start", "completed"))
    await room.start(made)
    await room.pass_time(0.1)
    await room.finish(made, fact=Fact.FAILED)
    await room.pass_time(0.1)
    room.receiver.gates.clear()
    gate.set()
    await room.pass_time(0.5)
    assert [one.body["status"] for one in room.told if one.body["id"] == made] == ["processing", "failed"]


async def test_times_in_the_log_are_measured(room: Room) -> None:
    gate = room.receiver.gates[HOOK] = asyncio.Event()
    await room.done()
    await room.pass_time(3)
    (line,) = await room.log()
    assert line.outcome is None
    gate.set()
    await room.pass_time(0.1)
    (line,) = await room.log()
    assert line.latency_seconds == pytest.approx(3, abs=0.2)
    assert room.clock.now() - line.started_at < timedelta(seconds=4)
