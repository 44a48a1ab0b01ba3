"""A worker whose bus drops every hint: each costs at most one poll interval."""

import asyncio

import msgspec
import pytest

from halley.dispatch import worker as module
from halley.predictions.hints import StopRequested, WorkWaits
from halley.predictions.ports import NewPrediction
from halley.predictions.status import Status
from halley.testing.bus import LossyBus
from unit.dispatch.conftest import RULES

pytestmark = pytest.mark.anyio


@pytest.fixture
def bus() -> LossyBus:
    return LossyBus()


async def test_a_canceled_run_is_stopped_one_poll_later(harness, bus: LossyBus) -> None:
    assert RULES.heartbeat_seconds > module.POLL_SECONDS, "else the heartbeat would do"
    made = await harness.create()
    run = await harness.provider.next_run()
    await harness.predictions.cancel(made.id, "ada")
    assert StopRequested(made.id) in bus.dropped
    assert not run.canceled.is_set()
    await harness.pass_time(module.POLL_SECONDS + 0.5)
    assert run.canceled.is_set()


async def test_what_another_process_put_into_the_queue_is_claimed_one_poll_later(
    harness, bus: LossyBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)  # in real time
    made = await harness.create()
    (await harness.provider.next_run()).end()
    await harness.ended(made.id)
    other = msgspec.structs.replace(made, id="z" * 26, attempts=0, fence=0)
    await harness.store.create(NewPrediction(prediction=other))
    bus.publish(WorkWaits(other.version))
    (await harness.provider.next_run(1)).end()
    assert (await harness.ended(other.id)).status is Status.SUCCEEDED


async def test_planted_bug_a_dispatcher_without_a_poll_is_found(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 1e6)
    made = await harness.create()
    run = await harness.provider.next_run()
    await harness.pass_time(3)  # the sleep that had begun with a poll
    await asyncio.sleep(0.1)  # in real time: the renewal behind it has come through
    await harness.predictions.cancel(made.id, "ada")
    await harness.pass_time(2.5)
    assert not run.canceled.is_set(), "nothing but the heartbeat can tell, and it comes later"
