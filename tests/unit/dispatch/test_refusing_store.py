"""A store that takes nothing for a while, full or locked: nothing ends by that, and all goes on afterwards."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from halley.dispatch import recorder
from halley.dispatch import worker as module
from halley.errors import HalleyError, Overloaded, StorageFull
from halley.predictions.status import EventKind, Status
from halley.testing.clock import T0
from unit.dispatch.conftest import RULES

pytestmark = pytest.mark.anyio

WRITES: Final = (
    "create",
    "cancel",
    "open_session",
    "renew",
    "claim",
    "append_events",
    "finish",
    "release",
    "reap",
    "expire",
    "fail_waiting",
    "hold_duty",
    "renew_duty",
    "waiting",
)
LONG: Final = 2.5 * RULES.lease_seconds


@contextmanager
def shut(harness: Any, error: HalleyError | None = None, *writes: str) -> Iterator[None]:
    """The store takes nothing during the block."""
    refusal = error or StorageFull("the disk is full")

    async def refuse(*_args: object, **_more: object) -> None:
        raise refusal

    with pytest.MonkeyPatch.context() as patch:
        for name in writes or WRITES:
            patch.setattr(harness.store, name, refuse)
        yield


async def kinds_of(harness: Any, prediction_id: str) -> list[EventKind]:
    return [event.kind for event in await harness.store.read_events(prediction_id)]


@pytest.mark.parametrize("error", [StorageFull("the disk is full"), Overloaded("the database is locked")])
async def test_no_work_is_lost_while_the_store_refuses_writes_for_longer_than_the_lease(
    harness, error: HalleyError
) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("a")
    await harness.until(made.id, lambda row: row.output is not None)
    with shut(harness, error):
        await harness.pass_time(LONG)
        with pytest.raises(type(error)):
            await harness.create()
        assert (await harness.predictions.get(made.id, "ada")).status is Status.PROCESSING
        run.put_out("b")
        await harness.pass_time(2)
    await harness.pass_time(4)
    assert not run.canceled.is_set(), "it was taken for lost"
    run.end()
    await harness.pass_time(2)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.output, ended.attempts) == (Status.SUCCEEDED, b'["a","b"]', 1)
    assert EventKind.ATTEMPT_LOST not in await kinds_of(harness, made.id)
    later = await harness.create()
    (await harness.provider.next_run(1)).end()
    assert (await harness.ended(later.id)).status is Status.SUCCEEDED


async def test_waiting_work_is_claimed_when_the_store_accepts_writes_again(harness) -> None:
    first, second = await harness.create(), await harness.create()
    run = await harness.provider.next_run()
    with shut(harness, Overloaded("the database is locked")):
        await asyncio.sleep(2 * module.POLL_SECONDS + 0.2)  # the poll is in real time: it must have met the refusal
        await harness.pass_time(LONG)
    run.end()
    await harness.pass_time(4)
    (await harness.provider.next_run(1)).end()
    await harness.pass_time(4)
    assert {(await harness.ended(each.id)).status for each in (first, second)} == {Status.SUCCEEDED}


async def test_a_renewal_that_failed_is_made_up_for_before_anything_is_taken_for_lost(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    with shut(harness, None, "renew"):
        await harness.pass_time(LONG)
    await harness.pass_time(4)
    assert not run.canceled.is_set()
    run.end()
    assert (await harness.ended(made.id)).attempts == 1


async def test_a_clock_that_is_set_while_no_lease_can_be_renewed_takes_none(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    harness.clock.jump(86_400.0)
    with shut(harness, None, "renew"):
        await harness.pass_time(2)
    await harness.pass_time(2)
    assert not run.canceled.is_set()
    run.end()
    assert (await harness.ended(made.id)).attempts == 1


@pytest.mark.parametrize("by", [86_400.0, 3.0, -3.0, -86_400.0])
async def test_deadlines_follow_a_clock_that_was_set_however_late_the_store_takes_it(harness, by: float) -> None:
    harness.provider.slots = 0
    await harness.pass_time(2)
    old = await harness.create(cancel_after_seconds=300.0)
    fresh = []
    with shut(harness, Overloaded("the database is locked"), "expire", "reap", "renew"):
        harness.clock.jump(by)
        fresh.append(await harness.create(cancel_after_seconds=300.0))  # before anybody could notice
        for _ in range(4):
            await harness.pass_time(1.5)
            fresh.append(await harness.create(cancel_after_seconds=300.0))
    await harness.pass_time(4)
    moved = await harness.predictions.get(old.id, "ada")
    assert (moved.status, (moved.deadline_at - old.deadline_at).total_seconds()) == (Status.STARTING, by)
    for each in fresh:
        row = await harness.predictions.get(each.id, "ada")
        assert (row.status, row.deadline_at) == (Status.STARTING, each.deadline_at)


async def test_a_set_clock_is_followed_once_though_the_queue_cannot_be_looked_at_behind_it(harness) -> None:
    harness.provider.slots = 0
    await harness.pass_time(2)
    made = await harness.create(cancel_after_seconds=300.0)
    await harness.pass_time(2)
    with shut(harness, Overloaded("the database is locked"), "waiting"):
        harness.clock.jump(86_400.0)
        await harness.pass_time(4)
    await harness.pass_time(4)
    moved = await harness.predictions.get(made.id, "ada")
    assert (moved.deadline_at - made.deadline_at).total_seconds() == 86_400.0


async def test_a_machine_that_slept_for_longer_than_the_lease_takes_none(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    harness.clock.suspend(LONG)
    await harness.pass_time(2)
    assert not run.canceled.is_set()
    run.end()
    assert (await harness.ended(made.id)).attempts == 1


async def test_a_run_over_its_limit_is_stopped_even_if_the_store_refuses_writes(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    with shut(harness):
        await harness.pass_time(RULES.run_timeout_seconds + 3)
        assert run.canceled.is_set()
    await harness.pass_time(3)
    assert (await harness.ended(made.id)).termination_reason == "run_timeout"


async def test_what_waits_for_a_broken_version_fails_once_the_store_takes_it(harness) -> None:
    harness.provider.slots = 0
    waiting = await harness.create()
    with shut(harness):
        harness.worker.broken("1" * 64, "it cannot be loaded", "setup_failed")
        await harness.pass_time(3)
    await harness.pass_time(3)
    assert (await harness.ended(waiting.id)).termination_reason == "setup_failed"


async def test_a_stop_ends_also_while_nothing_can_be_given_back(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.1)
    await harness.create()
    await harness.provider.next_run()
    with shut(harness):
        await asyncio.wait_for(harness.worker.drain(0.1), 60)


async def test_a_server_starts_while_the_store_refuses_writes_and_works_afterwards(stopped) -> None:
    harness = stopped
    await harness.store.open_session("an earlier server's", T0, RULES.lease_seconds)
    harness.provider.slots = 0
    left = await harness.create()
    assert await harness.store.claim("an earlier server's", {"1" * 64: 1}, harness.clock.now())
    harness.provider.slots = 1
    with shut(harness):
        await harness.maintainer.open()
        await harness.worker.open()
        service = asyncio.gather(harness.worker.run(), harness.maintainer.run())
        await harness.pass_time(LONG)
        assert (await harness.predictions.get(left.id, "ada")).status is Status.STARTING
        assert harness.worker.running == 0
        assert not service.done()
    await harness.pass_time(6)
    (await harness.provider.next_run()).end()
    ended = await harness.ended(left.id)
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 2)
    assert harness.provider.held == 0
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)


async def test_log_text_is_joined_while_the_store_refuses_it(harness, monkeypatch) -> None:
    monkeypatch.setattr(recorder, "BACKLOG_ITEMS", 5)
    made = await harness.create()
    run = await harness.provider.next_run()
    await harness.until(made.id, lambda row: row.status is Status.PROCESSING)
    with shut(harness, None, "append_events"):
        for _ in range(40):
            run.log("é")
            await asyncio.sleep(0.001)
        run.end()
    await harness.pass_time(2)
    assert (await harness.ended(made.id)).logs == "é" * 40
    kinds = await kinds_of(harness, made.id)
    assert kinds.count(EventKind.LOGGED) < 39  # at most those of one commit before, and six
