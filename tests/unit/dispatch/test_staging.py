"""Before a run begins: staging holds no slot, and a refusal that would repeat is final."""

import asyncio
from collections.abc import Iterator

import pytest

from halley import errors
from halley.dispatch import slot_queue, worker
from halley.dispatch.ports import Outcome
from halley.errors import Busy, FetchFailed, HalleyError, Overloaded, TooLarge
from halley.predictions.status import Status

pytestmark = pytest.mark.anyio

V = "1" * 64


async def settled(harness) -> None:
    while harness.worker.running:
        await asyncio.sleep(0.001)


async def test_staging_files_does_not_hold_a_slot(harness) -> None:
    harness.stager.hold()
    slow = await harness.create()
    await harness.stager.asked(1)
    harness.stager.has = False
    quick = await harness.create("bob")
    run = await harness.provider.next_run()
    assert run.work.prediction_id == quick.id
    assert (await harness.predictions.get(slow.id, "ada")).status is Status.STARTING
    harness.stager.release()
    await harness.pass_time(1)
    assert len(harness.provider.runs) == 1  # it waits for the slot
    run.end()
    second = await harness.provider.next_run(1)
    assert (second.work.prediction_id, second.work.input) == (slow.id, b'{"staged":true}')
    second.end()
    assert (await harness.ended(slow.id)).status is Status.SUCCEEDED
    assert harness.provider.held == 0


async def test_runs_with_staged_files_come_before_the_queue(harness) -> None:
    harness.stager.hold()
    slow = await harness.create()
    await harness.stager.asked(1)
    harness.stager.has = False
    await harness.create("bob")
    run = await harness.provider.next_run()
    await harness.create("bob")
    harness.stager.release()
    await harness.pass_time(1)
    run.end()
    assert (await harness.provider.next_run(1)).work.prediction_id == slow.id


async def test_files_that_arrive_during_a_claim_get_the_slot_after_it(harness, monkeypatch) -> None:
    harness.stager.hold()
    slow = await harness.create()
    await harness.stager.asked(1)
    claim = harness.store.claim

    async def slow_claim(*args, **more):
        harness.stager.release()
        for _ in range(50):  # the run asks for the slot, which this claim holds
            await asyncio.sleep(0)
        return await claim(*args, **more)

    monkeypatch.setattr(harness.store, "claim", slow_claim)
    harness.worker.on_capacity(V)
    run = await asyncio.wait_for(harness.provider.next_run(), 60)
    assert run.work.prediction_id == slow.id
    run.end()
    await settled(harness)


@pytest.mark.parametrize("staged", [False, True])
async def test_a_cancel_before_the_begin_is_at_once(harness, staged: bool) -> None:
    harness.stager.hold()
    slow = await harness.create()
    await harness.stager.asked(1)
    harness.stager.has = False
    other = await harness.create("bob")
    run = await harness.provider.next_run()
    if staged:
        harness.stager.release()
        await harness.pass_time(0.5)
    assert (await harness.predictions.cancel(slow.id, "ada")).status is Status.CANCELED
    while harness.worker.running > 1:
        await asyncio.sleep(0.001)
    assert await harness.store.renew(harness.worker._session_id, harness.clock.now(), 20) == []
    run.end()
    await harness.ended(other.id, "bob")
    await settled(harness)
    assert (len(harness.provider.runs), harness.provider.held) == (1, 0)


async def test_files_that_never_come_end_at_the_limit_of_the_run(harness) -> None:
    harness.stager.hold()
    made = await harness.create()
    await harness.stager.asked(1)
    await harness.pass_time(61)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "run_timeout")
    assert "files of its input" in (ended.error or "")


async def test_an_account_whose_hosts_are_silent_keeps_no_other_from_running(harness) -> None:
    harness.stager.hold()
    for _ in range(slot_queue.MOST_OF_AN_ACCOUNT + 5):
        await harness.create()
    await harness.stager.asked(slot_queue.MOST_OF_AN_ACCOUNT)
    await harness.pass_time(5)
    assert harness.stager.calls == slot_queue.MOST_OF_AN_ACCOUNT  # the rest waits in the queue
    harness.stager.has = False
    other = await harness.create("bob")
    (await harness.provider.next_run()).end()
    assert (await harness.ended(other.id, "bob")).status is Status.SUCCEEDED
    harness.stager.has = True
    harness.stager.release()
    for number in range(1, slot_queue.MOST_OF_AN_ACCOUNT + 6):
        (await harness.provider.next_run(number)).end()
    await settled(harness)
    assert harness.provider.held == 0


async def test_a_stop_gives_back_what_has_not_begun(harness) -> None:
    harness.stager.hold()
    made = await harness.create()
    await harness.stager.asked(1)
    await harness.worker.drain(60)  # of the clock that stands still: it must not be waited for
    row = await harness.predictions.get(made.id, "ada")
    assert (row.status, await harness.store.waiting()) == (Status.STARTING, {V: 1})


async def test_a_version_that_breaks_fails_also_whose_files_are_there(harness) -> None:
    harness.stager.hold()
    made = await harness.create()
    await harness.stager.asked(1)
    harness.provider.slots = 0
    harness.stager.release()
    await harness.pass_time(1)
    harness.worker.broken(V, "no weights", "setup_failed")
    ended = await harness.ended(made.id)
    assert (ended.status, ended.error, ended.termination_reason) == (Status.FAILED, "no weights", "setup_failed")


async def test_what_waits_too_long_for_a_slot_is_aborted(harness) -> None:
    harness.stager.hold()
    made = await harness.create()
    await harness.stager.asked(1)
    harness.provider.slots = 0
    harness.stager.release()
    await harness.pass_time(1)
    harness.clock.advance(30)
    await harness.pass_time(1)  # whoever has its files waits for a slot as long as the queue may
    assert (await harness.predictions.get(made.id, "ada")).status is Status.STARTING
    harness.clock.advance(86_401)
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason, ended.error) == (Status.ABORTED, "queue_time", None)


async def test_released_work_is_found_within_a_poll_while_others_wake_us(
    harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.2)
    harness.provider.refuses = Overloaded("the process is just gone")
    await harness.create()
    await settled(harness)
    harness.provider.refuses = None
    for _ in range(200):  # wakes far more often than a poll comes, for as long as ten of them
        harness.clock.advance(0.1)
        harness.worker.reevaluate()
        await asyncio.sleep(0.01)
        if harness.provider.runs:
            break
    (await harness.provider.next_run()).end()


async def test_a_refused_submit_ends_at_once(harness) -> None:
    harness.provider.refuses = TooLarge("a message of 70,000,000 bytes is over the limit of 67,108,864")
    made = await harness.create()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "submit_refused")
    assert "67,108,864" in (ended.error or "")
    await settled(harness)
    assert harness.provider.held == 0


def every(kind: type[HalleyError] = HalleyError) -> Iterator[type[HalleyError]]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from every(each)


TRANSIENT = (errors.Busy, errors.Conflict)  # with all that is below them


def made_of(kind: type[HalleyError]) -> HalleyError:
    return kind(()) if kind is errors.InputInvalid else kind("no")


@pytest.mark.parametrize("kind", sorted(set(every()), key=lambda kind: kind.__name__))
@pytest.mark.parametrize("where", ["submit", "stage"])
async def test_each_error_is_final_or_tried_again(harness, kind: type[HalleyError], where: str) -> None:
    """The table: what may work later waits again without an attempt; all else ends with the reason."""
    if where == "submit":
        harness.provider.refuses = made_of(kind)
    else:
        harness.stager.has, harness.stager.refuses = True, made_of(kind)
    made = await harness.create()
    if issubclass(kind, TRANSIENT) or kind is errors.LeaseLost:
        while not harness.worker.running:
            await asyncio.sleep(0)
        await settled(harness)
        assert (await harness.predictions.get(made.id, "ada")).status is Status.STARTING
        is_ours = kind is not errors.LeaseLost
        assert await harness.store.waiting() == ({V: 1} if is_ours else {})
    else:
        reason = (await harness.ended(made.id)).termination_reason
        final = "upstream_outcome_unknown" if kind is errors.OutcomeUnknown else "submit_refused"
        assert reason == {"submit": final, "stage": "input_unusable"}[where]


async def test_the_next_lease_of_an_attempt_is_apart_from_the_last(harness) -> None:
    harness.stager.has = True
    removing = harness.folders.hold()
    made = await harness.create()
    run = await harness.provider.next_run()
    run.end(Outcome(status="failed", error="gone", reason="worker_lost"))
    harness.worker.on_capacity(V)
    again = await harness.provider.next_run(1)  # the folder of the first is still being removed
    assert again.work.attempt == run.work.attempt
    assert again.work.folder != run.work.folder
    removing.set()
    while harness.folders.removed != [run.work.folder]:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    assert (await harness.predictions.cancel(made.id, "ada")).status is Status.CANCELED
    await asyncio.wait_for(again.canceled.wait(), 60)  # the first that tidied up did not take the second along


def test_a_busy_process_is_shown_as_busy() -> None:
    assert issubclass(Overloaded, Busy)
    assert not issubclass(FetchFailed, Busy)
