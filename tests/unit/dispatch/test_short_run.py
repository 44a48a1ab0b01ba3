"""A run that begins and ends without a task leaves the same rows, events and hints as one that has a task."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from halley.bus.local import LocalBus
from halley.dispatch.ports import Outcome
from halley.errors import LeaseLost, Overloaded, StorageFull
from halley.predictions.hints import Changed, Hint
from halley.predictions.status import Status
from halley.testing.dispatch import ScriptedRun
from unit.dispatch.conftest import Harness

pytestmark = pytest.mark.anyio

WITHOUT_FILES = b'{"components":{"schemas":{"Input":{"type":"object","properties":{}},"Output":{"type":"string"}}}}'
Scenario = Callable[[Harness, ScriptedRun, str], Awaitable[object]]


async def opened(at_once: bool) -> Harness:
    made = Harness(4, LocalBus())
    made.version = msgspec.structs.replace(made.version, openapi_schema=WITHOUT_FILES)
    await made.catalog.register(made.model, made.version)
    made.provider.at_once = at_once
    made.clock.advance(1)
    await made.maintainer.open()
    await made.worker.open()
    made.service = asyncio.gather(made.worker.run(), made.maintainer.run())
    return made


async def plain(_: Harness, run: ScriptedRun, __: str) -> None:
    run.put_out("done", more=False)
    run.end()


async def nothing_said(_: Harness, run: ScriptedRun, __: str) -> None:
    run.end()


async def talkative(harness: Harness, run: ScriptedRun, made: str) -> None:
    run.log(" 50%|#####     | 1/2\r")
    run.put_out("a")
    await harness.until(made, lambda row: row.output is not None)
    run.metric("steps", 2)
    run.put_out("b")
    run.end()


async def ends_during_a_commit(harness: Harness, run: ScriptedRun, made: str) -> None:
    append = harness.store.append_events

    async def late(*args: Any) -> Any:
        appended = await append(*args)
        run.put_out("b")
        run.end()
        await asyncio.sleep(0.01)
        return appended

    harness.store.append_events = late  # type: ignore[method-assign, assignment]
    run.put_out("a")
    await harness.ended(made)


async def fails(_: Harness, run: ScriptedRun, __: str) -> None:
    run.log("no\n")
    run.end(Outcome(status="failed", error="no", reason="model_error", predict_time=0.25))


async def stops_itself(_: Harness, run: ScriptedRun, __: str) -> None:
    run.end(Outcome(status="canceled"))


async def canceled(harness: Harness, run: ScriptedRun, made: str) -> None:
    run.put_out("a")
    await harness.predictions.cancel(made, "ada")
    await run.canceled.wait()


async def canceled_at_its_end(harness: Harness, run: ScriptedRun, made: str) -> None:
    canceling = asyncio.ensure_future(harness.predictions.cancel(made, "ada"))
    run.put_out("a", more=False)
    run.log("late\n")
    run.end()
    await canceling


async def with_a_file(_: Harness, run: ScriptedRun, __: str) -> None:
    run.put_out("x.png", more=False, paths=[()])
    run.end()


async def with_too_much(_: Harness, run: ScriptedRun, __: str) -> None:
    for number in range(9):
        run.put_out(number)
    run.end()


async def with_too_long_a_text(_: Harness, run: ScriptedRun, __: str) -> None:
    run.put_out("a" * 2000, more=False)
    run.end()


async def with_an_unfit_number(_: Harness, run: ScriptedRun, __: str) -> None:
    run.put_out([2**63, 1], more=False)
    run.put_out(msgspec.Raw(b"[123456789012345678901234567890]"), more=False)
    run.end()


async def slow(harness: Harness, run: ScriptedRun, made: str) -> None:
    await harness.until(made, lambda row: row.status is Status.PROCESSING)
    run.put_out("a", more=False)
    run.end()


async def too_long(harness: Harness, run: ScriptedRun, __: str) -> None:
    await harness.pass_time(62)
    assert run.canceled.is_set()


async def replica_gone(harness: Harness, run: ScriptedRun, _: str) -> None:
    run.end(Outcome(status="failed", error="gone", reason="worker_lost"))
    (await harness.provider.next_run(1)).end()


async def died_with_others(harness: Harness, run: ScriptedRun, _: str) -> None:
    run.log("before\n")
    run.end(Outcome(status="failed", error="died", reason="replica_died", shared=True))
    (await harness.provider.next_run(1)).end()


def refusing(error: Exception) -> Scenario:
    async def refuse_once(harness: Harness, run: ScriptedRun, made: str) -> None:
        finish, errors = harness.store.finish, [error]

        async def finish_later(*args: Any, **more: Any) -> Any:
            if errors:
                raise errors.pop()
            return await finish(*args, **more)

        harness.store.finish = finish_later  # type: ignore[method-assign, assignment]
        run.put_out("done", more=False)
        run.end()
        while not (await harness.predictions.row(made, "ada")).is_terminal:
            await harness.pass_time(1)

    return refuse_once


async def lost(harness: Harness, run: ScriptedRun, made: str) -> None:
    """Its lease has gone to the holder of another one when it ends."""
    execution = harness.worker._runs[made]
    await harness.store.release(execution.lease, harness.clock.now())
    again = (await harness.store.claim(execution.lease.session_id, {harness.version.id: 1}, harness.clock.now()))[0]
    run.put_out("of the first", more=False)
    run.end()
    while harness.worker.running:
        await asyncio.sleep(0.001)
    assert (await harness.predictions.row(made, "ada")).status is Status.STARTING
    harness.worker.begin(harness.version.id, again)
    harness.provider.held += 1
    (await harness.provider.next_run(1)).end()


async def drained(harness: Harness, run: ScriptedRun, made: str) -> None:
    draining = asyncio.ensure_future(harness.worker.drain(5))
    await asyncio.sleep(0)
    run.end()
    await draining
    assert (await harness.predictions.row(made, "ada")).is_terminal


SCENARIOS: dict[str, Scenario] = {
    one.__name__.replace("_", " "): one
    for one in (
        plain,
        nothing_said,
        talkative,
        ends_during_a_commit,
        fails,
        stops_itself,
        canceled,
        canceled_at_its_end,
        with_a_file,
        with_too_much,
        with_too_long_a_text,
        with_an_unfit_number,
        slow,
        too_long,
        replica_gone,
        died_with_others,
        lost,
        drained,
    )
} | {
    "a full disk": refusing(StorageFull("no room")),
    "a busy store": refusing(Overloaded("busy")),
}


async def life(scenario: Scenario, at_once: bool) -> list[object]:
    harness = await opened(at_once)
    made = await harness.create()
    run = await harness.provider.next_run()
    has_task = bool(harness.worker._tasks)
    await scenario(harness, run, made.id)
    await harness.ended(made.id)
    while harness.worker.running:
        await asyncio.sleep(0.001)
    row = await harness.predictions.row(made.id, "ada")
    events = await harness.store.read_events(made.id)
    await harness.stop_hard()
    assert has_task is not at_once
    assert harness.provider.held == 0
    times = dict.fromkeys(("started_at", "completed_at", "cancel_requested_at"))
    # how many writes they were is a matter of time: what is said within FLUSH_SECONDS is one
    return [
        str(msgspec.structs.replace(row, metrics={}, revision=0, **times)).replace(made.id, "the id"),
        sorted(row.metrics),
        [(event.seq, event.attempt, event.kind, event.data.replace(made.id.encode(), b"the id")) for event in events],
        await harness.store.waiting(),
    ]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_both_ways_leave_the_same(name: str) -> None:
    assert await life(SCENARIOS[name], at_once=True) == await life(SCENARIOS[name], at_once=False)


async def test_those_that_take_longer_are_continued_and_the_others_are_not() -> None:
    harness = await opened(at_once=True)
    begun = harness.worker._short_runs
    made = [(await harness.create()).id for _ in range(4)]
    (await harness.provider.next_run(0)).end()
    for one in made[1:]:
        await harness.until(one, lambda row: row.status is Status.PROCESSING)
    while begun._timer is not None:
        await asyncio.sleep(0.001)
    assert not begun.young
    for run in harness.provider.runs[1:]:
        run.put_out("done", more=False)
        run.end()
    assert [(await harness.ended(one)).output for one in made] == [None, *[b'"done"'] * 3]
    await harness.stop_hard()


@pytest.mark.parametrize("webhook", [None, "https://hook.example/x"])
async def test_its_end_is_told_once_after_its_commit(webhook: str | None) -> None:
    harness = await opened(at_once=True)
    told: list[Hint] = []
    made = await harness.create(webhook=webhook)
    run = await harness.provider.next_run()
    harness.worker._parts.bus.subscribe(told.append, Changed)
    run.put_out("done", more=False)
    run.end()
    assert (await harness.ended(made.id)).output == b'"done"'
    await asyncio.sleep(0)
    assert told == [Changed(made.id, for_webhook=webhook is not None)]
    await harness.stop_hard()


async def test_what_could_not_begin_waits_in_a_task_and_begins_later() -> None:
    harness = await opened(at_once=True)
    harness.provider.refuses = Overloaded("not now")
    made = await harness.create()
    await harness.pass_time(1)
    assert not harness.provider.runs
    harness.provider.refuses = None
    while not harness.provider.runs:
        await harness.pass_time(1)
    harness.provider.runs[0].end()
    assert (await harness.ended(made.id)).attempts == 1
    await harness.stop_hard()


async def test_after_the_end_of_its_worker_nothing_is_written() -> None:
    harness = await opened(at_once=True)
    made = await harness.create()
    run = await harness.provider.next_run()
    await harness.stop_hard()
    run.put_out("late", more=False)
    run.end()
    await asyncio.sleep(0.05)
    assert (await harness.predictions.row(made.id, "ada")).status is Status.STARTING
    assert not harness.worker._tasks


async def test_a_bug_in_its_write_leads_to_the_way_with_a_task() -> None:
    harness = await opened(at_once=True)
    made = await harness.create()
    await refusing(RuntimeError("planned"))(harness, await harness.provider.next_run(), made.id)
    assert (await harness.ended(made.id)).output == b'"done"'
    await harness.stop_hard()


async def test_a_lost_lease_is_no_reason_for_a_warning_of_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    harness = await opened(at_once=True)
    made = await harness.create()

    async def finish(*_: Any, **__: Any) -> None:
        raise LeaseLost("gone")

    harness.store.finish = finish  # type: ignore[method-assign, assignment]
    (await harness.provider.next_run()).end()
    while harness.worker.running:
        await asyncio.sleep(0.001)
    assert "went to another holder" in caplog.text
    assert "broke" not in caplog.text
    assert (await harness.predictions.row(made.id, "ada")).status is Status.STARTING
    await harness.stop_hard()
