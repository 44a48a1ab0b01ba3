"""A store that takes nothing for a while, full or locked: nothing ends by that, and all goes on afterwards."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

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
def shut(bottle: Any, error: HalleyError | None = None, *writes: str) -> Iterator[None]:
    """The store takes nothing during the block."""
    refusal = error or StorageFull("the disk is full")

    async def refuse(*_args: object, **_more: object) -> None:
        raise refusal

    with pytest.MonkeyPatch.context() as patch:
        for name in writes or WRITES:
            patch.setattr(bottle.store, name, refuse)
        yield


async def kinds_of(bottle: Any, prediction_id: str) -> list[EventKind]:
    return [event.kind for event in await bottle.store.read_events(prediction_id)]


@pytest.mark.parametrize("error", [StorageFull("the disk is full"), Overloaded("the database is locked")])
async def test_no_work_is_lost_while_the_store_refuses_writes_for_longer_than_the_lease(
    bottle, error: HalleyError
) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    run.put_out("a")
    await bottle.until(made.id, lambda row: row.output is not None)
    with shut(bottle, error):
        await bottle.pass_time(LONG)
        with pytest.raises(type(error)):
            await bottle.create()
        assert (await bottle.predictions.get(made.id, "ada")).status is Status.PROCESSING
        run.put_out("b")
        await bottle.pass_time(2)
    await bottle.pass_time(4)
    assert not run.canceled.is_set(), "it was taken for lost"
    run.end()
    await bottle.pass_time(2)
    ended = await bottle.ended(made.id)
    assert (ended.status, ended.output, ended.attempts) == (Status.SUCCEEDED, b'["a","b"]', 1)
    assert EventKind.ATTEMPT_LOST not in await kinds_of(bottle, made.id)
    later = await bottle.create()
    (await bottle.provider.next_run(1)).end()
    assert (await bottle.ended(later.id)).status is Status.SUCCEEDED


async def test_waiting_work_is_claimed_when_the_store_accepts_writes_again(bottle) -> None:
    first, second = await bottle.create(), await bottle.create()
    run = await bottle.provider.next_run()
    with shut(bottle, Overloaded("the database is locked")):
        await asyncio.sleep(2 * module.POLL_SECONDS + 0.2)  # the poll is in real time: it must have met the refusal
        await bottle.pass_time(LONG)
    run.end()
    await bottle.pass_time(4)
    (await bottle.provider.next_run(1)).end()
    await bottle.pass_time(4)
    assert {(await bottle.ended(each.id)).status for each in (first, second)} == {Status.SUCCEEDED}


async def test_a_renewal_that_failed_is_made_up_for_before_anything_is_taken_for_lost(bottle) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    with shut(bottle, None, "renew"):
        await bottle.pass_time(LONG)
    await bottle.pass_time(4)
    assert not run.canceled.is_set()
    run.end()
    assert (await bottle.ended(made.id)).attempts == 1


async def test_a_clock_that_is_set_while_no_lease_can_be_renewed_takes_none(bottle) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    bottle.clock.jump(86_400.0)
    with shut(bottle, None, "renew"):
        await bottle.pass_time(2)
    await bottle.pass_time(2)
    assert not run.canceled.is_set()
    run.end()
    assert (await bottle.ended(made.id)).attempts == 1


@pytest.mark.parametrize("by", [86_400.0, 3.0, -3.0, -86_400.0])
async def test_deadlines_follow_a_clock_that_was_set_however_late_the_store_takes_it(bottle, by: float) -> None:
    bottle.provider.slots = 0
    await bottle.pass_time(2)
    old = await bottle.create(cancel_after_seconds=300.0)
    fresh = []
    with shut(bottle, Overloaded("the database is locked"), "expire", "reap", "renew"):
        bottle.clock.jump(by)
        fresh.append(await bottle.create(cancel_after_seconds=300.0))  # before anybody could notice
        for _ in range(4):
            await bottle.pass_time(1.5)
            fresh.append(await bottle.create(cancel_after_seconds=300.0))
    await bottle.pass_time(4)
    moved = await bottle.predictions.get(old.id, "ada")
    assert (moved.status, (moved.deadline_at - old.deadline_at).total_seconds()) == (Status.STARTING, by)
    for each in fresh:
        row = await bottle.predictions.get(each.id, "ada")
        assert (row.status, row.deadline_at) == (Status.STARTING, each.deadline_at)


async def test_a_set_clock_is_followed_once_though_the_queue_cannot_be_looked_at_behind_it(bottle) -> None:
    bottle.provider.slots = 0
    await bottle.pass_time(2)
    made = await bottle.create(cancel_after_seconds=300.0)
    await bottle.pass_time(2)
    with shut(bottle, Overloaded("the database is locked"), "waiting"):
        bottle.clock.jump(86_400.0)
        await bottle.pass_time(4)
    await bottle.pass_time(4)
    moved = await bottle.predictions.get(made.id, "ada")
    assert (moved.deadline_at - made.deadline_at).total_seconds() == 86_400.0


async def test_a_machine_that_slept_for_longer_than_the_lease_takes_none(bottle) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    bottle.clock.suspend(LONG)
    await bottle.pass_time(2)
    assert not run.canceled.is_set()
    run.end()
    assert (await bottle.ended(made.id)).attempts == 1


async def test_a_run_over_its_limit_is_stopped_even_if_the_store_refuses_writes(bottle) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    with shut(bottle):
        await bottle.pass_time(RULES.run_timeout_seconds + 3)
        assert run.canceled.is_set()
    await bottle.pass_time(3)
    assert (await bottle.ended(made.id)).termination_reason == "run_timeout"


async def test_what_waits_for_a_broken_version_fails_once_the_store_takes_it(bottle) -> None:
    bottle.provider.slots = 0
    waiting = await bottle.create()
    with shut(bottle):
        bottle.worker.broken("1" * 64, "it cannot be loaded", "setup_failed")
        await bottle.pass_time(3)
    await bottle.pass_time(3)
    assert (await bottle.ended(waiting.id)).termination_reason == "setup_failed"


async def test_a_stop_ends_also_while_nothing_can_be_given_back(bottle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.1)
    await bottle.create()
    await bottle.provider.next_run()
    with shut(bottle):
        await asyncio.wait_for(bottle.worker.drain(0.1), 30)


async def test_a_server_starts_while_the_store_refuses_writes_and_works_afterwards(stopped) -> None:
    bottle = stopped
    await bottle.store.open_session("an earlier server's", T0, RULES.lease_seconds)
    bottle.provider.slots = 0
    left = await bottle.create()
    assert await bottle.store.claim("an earlier server's", {"1" * 64: 1}, bottle.clock.now())
    bottle.provider.slots = 1
    with shut(bottle):
        await bottle.maintainer.open()
        await bottle.worker.open()
        service = asyncio.gather(bottle.worker.run(), bottle.maintainer.run())
        await bottle.pass_time(LONG)
        assert (await bottle.predictions.get(left.id, "ada")).status is Status.STARTING
        assert bottle.worker.running == 0
        assert not service.done()
    await bottle.pass_time(6)
    (await bottle.provider.next_run()).end()
    ended = await bottle.ended(left.id)
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 2)
    assert bottle.provider.held == 0
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
