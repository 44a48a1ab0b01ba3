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


async def test_a_crash_costs_other_predictions_nothing(bottle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.1)  # no hint tells that a place has become empty
    first, second = await bottle.create(), await bottle.create()
    runs = [await bottle.provider.next_run(0), await bottle.provider.next_run(1)]
    runs[0].log("one\n")
    for run in runs:
        run.end(DIED)
    again = await bottle.provider.next_run(2)
    assert (again.work.alone, again.work.attempt) == (True, 2)
    await bottle.pass_time(3)
    assert len(bottle.provider.runs) == 3  # the other waits until nothing runs
    again.end()
    last = await bottle.provider.next_run(3)
    assert last.work.alone
    last.end(DIED)  # alone, it dies by its own fault
    rows = {made.id: await bottle.ended(made.id) for made in (first, second)}
    assert {row.status for row in rows.values()} == {Status.SUCCEEDED, Status.FAILED}
    assert "one\n\n[halley] The process died. It runs again, alone" in rows[first.id].logs
    while bottle.worker.running:
        await asyncio.sleep(0.001)
    assert bottle.provider.held == 0


async def test_what_clients_have_seen_is_not_run_again(bottle) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    run.put_out("a")
    await bottle.until(made.id, lambda row: row.output is not None)
    run.end(DIED)
    ended = await bottle.ended(made.id)
    assert (ended.status, ended.output, ended.error) == (Status.FAILED, b'["a"]', "The process died.")


async def test_unseen_output_is_dropped(bottle) -> None:
    made = await bottle.create()
    run = await bottle.provider.next_run()
    run.put_out("a")
    run.end(DIED)  # in the same turn of the loop: nothing was committed
    again = await bottle.provider.next_run(1)
    again.put_out("b")
    again.end()
    assert (await bottle.ended(made.id)).output == b'["b"]'


async def test_a_canceled_one_is_not_run_again(bottle) -> None:
    bottle.provider.obeys_cancel = False
    made = await bottle.create()
    run = await bottle.provider.next_run()
    await bottle.predictions.cancel(made.id, "ada")
    await run.canceled.wait()
    run.log("bye\n")
    run.end(DIED)
    while bottle.worker.running:
        await asyncio.sleep(0.001)
    row = await bottle.predictions.get(made.id, "ada")
    assert (row.status, row.logs, len(bottle.provider.runs)) == (Status.CANCELED, "bye\n", 1)
    assert await bottle.store.waiting() == {}


async def test_a_prediction_waiting_for_an_exclusive_replica_can_be_canceled(bottle) -> None:
    made, other = await bottle.create(), await bottle.create()
    (await bottle.provider.next_run(0)).end(DIED)
    run = await bottle.provider.next_run(1)
    await bottle.pass_time(1)
    assert (await bottle.predictions.cancel(made.id, "ada")).status is Status.CANCELED
    while bottle.worker.running > 1:
        await asyncio.sleep(0.001)
    run.end()
    await bottle.ended(other.id)
    await bottle.create()
    (await bottle.provider.next_run(2)).end()
    assert not bottle.provider.runs[2].work.alone


async def test_what_it_prints_after_a_cancel_is_kept(bottle) -> None:
    bottle.provider.obeys_cancel = False
    made = await bottle.create()
    run = await bottle.provider.next_run()
    run.log("before\n")
    await bottle.until(made.id, lambda row: row.logs != "")
    run.log("last\n")  # not committed when the cancel comes
    canceled = await bottle.predictions.cancel(made.id, "ada")
    run.put_out("too late")
    run.metric("late", 1)
    run.log("cleaning\n")
    shown = await bottle.until(made.id, lambda row: "cleaning" in row.logs)
    assert (shown.status, shown.logs, shown.output) == (Status.CANCELED, "before\nlast\ncleaning\n", None)
    assert shown.revision > canceled.revision
    run.log("cleaned\n")
    run.end(Outcome(status="canceled"))
    while bottle.worker.running:
        await asyncio.sleep(0.001)
    row = await bottle.predictions.get(made.id, "ada")
    assert (row.status, row.logs) == (Status.CANCELED, shown.logs + "cleaned\n")
    assert (await bottle.store.read_events(made.id))[-1].kind is EventKind.FINISHED


async def test_what_it_prints_after_its_output_was_refused_is_kept(bottle) -> None:
    bottle.provider.obeys_cancel = False
    made = await bottle.create()
    run = await bottle.provider.next_run()
    for number in range(6):  # one more than the limit
        run.put_out(number)
    await run.canceled.wait()
    run.log("cleaned\n")
    run.end(Outcome(status="canceled"))
    ended = await bottle.ended(made.id)
    assert (ended.termination_reason, ended.logs) == ("output_unusable", "cleaned\n")
