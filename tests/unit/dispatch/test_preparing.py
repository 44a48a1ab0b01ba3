"""Before a run begins: files that are on the way hold no slot, and refusals end what would be refused again."""

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


async def settled(bottle) -> None:
    while bottle.worker.running:
        await asyncio.sleep(0.001)


async def test_staging_files_does_not_hold_a_slot(bottle) -> None:
    bottle.stager.hold()
    slow = await bottle.create()
    await bottle.stager.asked(1)
    bottle.stager.has = False
    quick = await bottle.create("bob")
    run = await bottle.provider.next_run()
    assert run.work.prediction_id == quick.id
    assert (await bottle.predictions.get(slow.id, "ada")).status is Status.STARTING
    bottle.stager.let_go()
    await bottle.pass_time(1)
    assert len(bottle.provider.runs) == 1  # it waits for the slot
    run.end()
    second = await bottle.provider.next_run(1)
    assert (second.work.prediction_id, second.work.input) == (slow.id, b'{"staged":true}')
    second.end()
    assert (await bottle.ended(slow.id)).status is Status.SUCCEEDED
    assert bottle.provider.held == 0


async def test_runs_with_staged_files_come_before_the_queue(bottle) -> None:
    bottle.stager.hold()
    slow = await bottle.create()
    await bottle.stager.asked(1)
    bottle.stager.has = False
    await bottle.create("bob")
    run = await bottle.provider.next_run()
    await bottle.create("bob")
    bottle.stager.let_go()
    await bottle.pass_time(1)
    run.end()
    assert (await bottle.provider.next_run(1)).work.prediction_id == slow.id


async def test_files_that_arrive_during_a_claim_get_the_slot_after_it(bottle, monkeypatch) -> None:
    bottle.stager.hold()
    slow = await bottle.create()
    await bottle.stager.asked(1)
    claim = bottle.store.claim

    async def slow_claim(*args, **more):
        bottle.stager.let_go()
        for _ in range(50):  # the run asks for the slot, which this claim holds
            await asyncio.sleep(0)
        return await claim(*args, **more)

    monkeypatch.setattr(bottle.store, "claim", slow_claim)
    bottle.worker.room(V)
    run = await asyncio.wait_for(bottle.provider.next_run(), 20)
    assert run.work.prediction_id == slow.id
    run.end()
    await settled(bottle)


@pytest.mark.parametrize("staged", [False, True])
async def test_a_cancel_before_the_begin_is_at_once(bottle, staged: bool) -> None:
    bottle.stager.hold()
    slow = await bottle.create()
    await bottle.stager.asked(1)
    bottle.stager.has = False
    other = await bottle.create("bob")
    run = await bottle.provider.next_run()
    if staged:
        bottle.stager.let_go()
        await bottle.pass_time(0.5)
    assert (await bottle.predictions.cancel(slow.id, "ada")).status is Status.CANCELED
    while bottle.worker.running > 1:
        await asyncio.sleep(0.001)
    assert await bottle.store.renew(bottle.worker._session_id, bottle.clock.now(), 20) == []
    run.end()
    await bottle.ended(other.id, "bob")
    await settled(bottle)
    assert (len(bottle.provider.runs), bottle.provider.held) == (1, 0)


async def test_files_that_never_come_end_at_the_limit_of_the_run(bottle) -> None:
    bottle.stager.hold()
    made = await bottle.create()
    await bottle.stager.asked(1)
    await bottle.pass_time(61)
    ended = await bottle.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "run_timeout")
    assert "files of its input" in (ended.error or "")


async def test_an_account_whose_hosts_are_silent_keeps_no_other_from_running(bottle) -> None:
    bottle.stager.hold()
    for _ in range(slot_queue.MOST_OF_AN_ACCOUNT + 5):
        await bottle.create()
    await bottle.stager.asked(slot_queue.MOST_OF_AN_ACCOUNT)
    await bottle.pass_time(5)
    assert bottle.stager.calls == slot_queue.MOST_OF_AN_ACCOUNT  # the rest waits in the queue
    bottle.stager.has = False
    other = await bottle.create("bob")
    (await bottle.provider.next_run()).end()
    assert (await bottle.ended(other.id, "bob")).status is Status.SUCCEEDED
    bottle.stager.has = True
    bottle.stager.let_go()
    for number in range(1, slot_queue.MOST_OF_AN_ACCOUNT + 6):
        (await bottle.provider.next_run(number)).end()
    await settled(bottle)
    assert bottle.provider.held == 0


async def test_a_stop_gives_back_what_has_not_begun(bottle) -> None:
    bottle.stager.hold()
    made = await bottle.create()
    await bottle.stager.asked(1)
    await bottle.worker.drain(60)  # of the clock that stands still: it must not be waited for
    row = await bottle.predictions.get(made.id, "ada")
    assert (row.status, await bottle.store.waiting()) == (Status.STARTING, {V: 1})


async def test_a_version_that_breaks_fails_also_whose_files_are_there(bottle) -> None:
    bottle.stager.hold()
    made = await bottle.create()
    await bottle.stager.asked(1)
    bottle.provider.slots = 0
    bottle.stager.let_go()
    await bottle.pass_time(1)
    bottle.worker.broken(V, "no weights", "setup_failed")
    ended = await bottle.ended(made.id)
    assert (ended.status, ended.error, ended.termination_reason) == (Status.FAILED, "no weights", "setup_failed")


async def test_what_waits_too_long_for_a_slot_is_aborted(bottle) -> None:
    bottle.stager.hold()
    made = await bottle.create()
    await bottle.stager.asked(1)
    bottle.provider.slots = 0
    bottle.stager.let_go()
    await bottle.pass_time(1)
    bottle.clock.advance(30)
    await bottle.pass_time(1)  # whoever has its files waits for a slot as long as the queue may
    assert (await bottle.predictions.get(made.id, "ada")).status is Status.STARTING
    bottle.clock.advance(86_401)
    ended = await bottle.ended(made.id)
    assert (ended.status, ended.termination_reason, ended.error) == (Status.ABORTED, "queue_time", None)


async def test_released_work_is_found_within_a_poll_while_others_wake_us(
    bottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.2)
    bottle.provider.refuses = Overloaded("the process is just gone")
    await bottle.create()
    await settled(bottle)
    bottle.provider.refuses = None
    for _ in range(200):  # wakes far more often than a poll comes, for as long as ten of them
        bottle.clock.advance(0.1)
        bottle.worker.look()
        await asyncio.sleep(0.01)
        if bottle.provider.runs:
            break
    (await bottle.provider.next_run()).end()


async def test_a_refused_submit_ends_at_once(bottle) -> None:
    bottle.provider.refuses = TooLarge("a message of 70,000,000 bytes is over the limit of 67,108,864")
    made = await bottle.create()
    ended = await bottle.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.FAILED, "submit_refused")
    assert "67,108,864" in (ended.error or "")
    await settled(bottle)
    assert bottle.provider.held == 0


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
async def test_each_error_is_final_or_tried_again(bottle, kind: type[HalleyError], where: str) -> None:
    """The table: what may work later waits again without an attempt; all else ends with the reason."""
    if where == "submit":
        bottle.provider.refuses = made_of(kind)
    else:
        bottle.stager.has, bottle.stager.refuses = True, made_of(kind)
    made = await bottle.create()
    if issubclass(kind, TRANSIENT) or kind is errors.LeaseLost:
        while not bottle.worker.running:
            await asyncio.sleep(0)
        await settled(bottle)
        assert (await bottle.predictions.get(made.id, "ada")).status is Status.STARTING
        is_ours = kind is not errors.LeaseLost
        assert await bottle.store.waiting() == ({V: 1} if is_ours else {})
    else:
        reason = (await bottle.ended(made.id)).termination_reason
        final = "upstream_outcome_unknown" if kind is errors.OutcomeUnknown else "submit_refused"
        assert reason == {"submit": final, "stage": "input_unusable"}[where]


async def test_the_next_lease_of_an_attempt_is_apart_from_the_last(bottle) -> None:
    bottle.stager.has = True
    removing = bottle.folders.hold()
    made = await bottle.create()
    run = await bottle.provider.next_run()
    run.end(Outcome(status="failed", error="gone", reason="worker_lost"))
    bottle.worker.room(V)
    again = await bottle.provider.next_run(1)  # the folder of the first is still being removed
    assert again.work.attempt == run.work.attempt
    assert again.work.folder != run.work.folder
    removing.set()
    while bottle.folders.removed != [run.work.folder]:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    assert (await bottle.predictions.cancel(made.id, "ada")).status is Status.CANCELED
    await asyncio.wait_for(again.canceled.wait(), 10)  # the first that tidied up did not take the second along


def test_a_busy_process_is_shown_as_busy() -> None:
    assert issubclass(Overloaded, Busy)
    assert not issubclass(FetchFailed, Busy)
