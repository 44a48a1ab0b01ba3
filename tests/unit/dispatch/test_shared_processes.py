"""Runs whose process ended with others inside, and what a run says after its prediction has ended."""

import asyncio

import pytest

from halley.dispatch import worker
from halley.dispatch.ports import Outcome
from halley.predictions.status import EventKind, Status

pytestmark = pytest.mark.anyio

DIED = Outcome(status="failed", error="The process died.", reason="replica_died", shared=True)
V = "1" * 64


@pytest.fixture
def slots() -> int:
    return 2


async def test_a_crash_costs_other_predictions_nothing(harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.1)  # no hint tells that a place has become empty
    first, second = await harness.create(), await harness.create()
    runs = [await harness.provider.next_run(0), await harness.provider.next_run(1)]
    runs[0].log("one\n")
    for run in runs:
        run.end(DIED)
    again = await harness.provider.next_run(2)
    assert (again.work.alone, again.work.attempt) == (True, 2)
    await harness.pass_time(3)
    assert len(harness.provider.runs) == 3  # the other waits until nothing runs
    again.end()
    last = await harness.provider.next_run(3)
    assert last.work.alone
    last.end(DIED)  # alone, it dies by its own fault
    rows = {made.id: await harness.ended(made.id) for made in (first, second)}
    assert {row.status for row in rows.values()} == {Status.SUCCEEDED, Status.FAILED}
    assert "one\n\n[halley] The process died. It runs again, alone" in rows[first.id].logs
    while harness.worker.running:
        await asyncio.sleep(0.001)
    assert harness.provider.held == 0


async def test_what_clients_have_seen_is_not_run_again(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("a")
    await harness.until(made.id, lambda row: row.output is not None)
    run.end(DIED)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.output, ended.error) == (Status.FAILED, b'["a"]', "The process died.")


async def test_unseen_output_is_dropped(harness) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    run.put_out("a")
    run.end(DIED)  # in the same turn of the loop: nothing was committed
    again = await harness.provider.next_run(1)
    again.put_out("b")
    again.end()
    assert (await harness.ended(made.id)).output == b'["b"]'


async def test_a_canceled_one_is_not_run_again(harness) -> None:
    harness.provider.obeys_cancel = False
    made = await harness.create()
    run = await harness.provider.next_run()
    await harness.predictions.cancel(made.id, "ada")
    await run.canceled.wait()
    run.log("bye\n")
    run.end(DIED)
    while harness.worker.running:
        await asyncio.sleep(0.001)
    row = await harness.predictions.get(made.id, "ada")
    assert (row.status, row.logs, len(harness.provider.runs)) == (Status.CANCELED, "bye\n", 1)
    assert await harness.store.waiting() == {}


async def test_a_prediction_waiting_for_an_exclusive_replica_can_be_canceled(harness) -> None:
    made, other = await harness.create(), await harness.create()
    (await harness.provider.next_run(0)).end(DIED)
    run = await harness.provider.next_run(1)
    await harness.pass_time(1)
    assert (await harness.predictions.cancel(made.id, "ada")).status is Status.CANCELED
    while harness.worker.running > 1:
        await asyncio.sleep(0.001)
    run.end()
    await harness.ended(other.id)
    await harness.create()
    (await harness.provider.next_run(2)).end()
    assert not harness.provider.runs[2].work.alone


async def test_what_it_prints_after_a_cancel_is_kept(harness) -> None:
    harness.provider.obeys_cancel = False
    made = await harness.create()
    run = await harness.provider.next_run()
    run.log("before\n")
    await harness.until(made.id, lambda row: row.logs != "")
    run.log("last\n")  # not committed when the cancel comes
    canceled = await harness.predictions.cancel(made.id, "ada")
    run.put_out("too late")
    run.metric("late", 1)
    run.log("cleaning\n")
    shown = await harness.until(made.id, lambda row: "cleaning" in row.logs)
    assert (shown.status, shown.logs, shown.output) == (Status.CANCELED, "before\nlast\ncleaning\n", None)
    assert shown.revision > canceled.revision
    run.log("cleaned\n")
    run.end(Outcome(status="canceled"))
    while harness.worker.running:
        await asyncio.sleep(0.001)
    row = await harness.predictions.get(made.id, "ada")
    assert (row.status, row.logs) == (Status.CANCELED, shown.logs + "cleaned\n")
    assert (await harness.store.read_events(made.id))[-1].kind is EventKind.FINISHED


async def test_what_it_prints_after_its_output_was_refused_is_kept(harness) -> None:
    harness.provider.obeys_cancel = False
    made = await harness.create()
    run = await harness.provider.next_run()
    for number in range(6):  # one more than the limit
        run.put_out(number)
    await run.canceled.wait()
    run.log("cleaned\n")
    run.end(Outcome(status="canceled"))
    ended = await harness.ended(made.id)
    assert (ended.termination_reason, ended.logs) == ("output_unusable", "cleaned\n")
