"""Two things in the same turn of the loop: no slot is lost, nothing breaks, nothing begins in a process that stops."""

import asyncio

import pytest

from halley.dispatch import worker
from halley.dispatch.slot_queue import SlotQueue
from halley.errors import LeaseLost
from halley.predictions.hints import Hint, WorkWaits
from halley.predictions.status import Status
from halley.retry import LONGEST_RETRY_SECONDS

pytestmark = pytest.mark.anyio

V = "1" * 64


async def test_a_slot_is_not_given_to_who_was_put_back_in_the_same_turn(harness) -> None:
    queue = SlotQueue(on_capacity=lambda _: None, freed=lambda _: None)
    assert harness.provider.take_slot(V)
    waiting = asyncio.ensure_future(queue.take_slot(harness.provider, V))
    await asyncio.sleep(0)
    harness.provider.drop_slot(V)
    waiting.cancel()
    queue.serve(V)  # before the one who waits has run again
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert harness.provider.held == 0
    assert not queue.waits(V)


async def test_what_was_claimed_while_the_server_began_to_stop_is_given_back(harness, monkeypatch) -> None:
    first = await harness.create()
    run = await harness.provider.next_run()
    waits = await harness.create()
    claim, reached, go_on, done = harness.store.claim, asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow_claim(*args, **more):
        reached.set()
        await go_on.wait()
        claimed = await claim(*args, **more)
        done.set()
        return claimed

    monkeypatch.setattr(harness.store, "claim", slow_claim)
    run.end()
    await harness.ended(first.id)
    await reached.wait()
    await harness.worker.drain(1.0)
    go_on.set()
    await done.wait()
    await asyncio.sleep(0.01)
    row = await harness.predictions.get(waits.id, "ada")
    assert (row.status, len(harness.provider.runs), harness.provider.held) == (Status.STARTING, 1, 0)
    assert await harness.store.waiting() == {V: 1}


async def test_what_comes_during_a_claim_is_claimed_without_a_poll(harness, monkeypatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 3600.0)
    harness.provider.slots = 0
    first = await harness.create()
    claim, came = harness.store.claim, []

    async def slow_claim(*args, **more):
        claimed = await claim(*args, **more)
        if not came:
            came.append(await harness.create())  # it is stored behind the claim
            await asyncio.sleep(0)  # and the hint comes before its answer
        return claimed

    monkeypatch.setattr(harness.store, "claim", slow_claim)
    harness.provider.slots = 2
    harness.worker.on_capacity(V)
    assert (await harness.provider.next_run(0)).work.prediction_id == first.id
    async with asyncio.timeout(60):
        assert (await harness.provider.next_run(1)).work.prediction_id == came[0].id


async def test_many_creates_in_a_turn_are_one_hint(harness) -> None:
    hints: list[Hint] = []
    harness.predictions._bus.subscribe(hints.append)
    harness.provider.slots = 0
    await asyncio.gather(*(harness.create() for _ in range(5)))
    await asyncio.sleep(0)
    told = hints.count(WorkWaits(V))
    assert 1 <= told < 5
    await harness.create()
    await asyncio.sleep(0)
    assert hints.count(WorkWaits(V)) == told + 1


async def test_a_create_that_cannot_be_stored_keeps_no_slot(harness) -> None:
    with pytest.raises(UnicodeEncodeError):
        await harness.create(context={"word": "\ud800"})
    assert harness.provider.held == 0


async def test_a_run_that_was_stopped_for_a_lost_session_is_given_back_if_its_lease_is_valid(
    harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await harness.create()
    run = await harness.provider.next_run()
    renew = harness.store.renew
    lost = [LeaseLost("The session is not open.")]

    async def renew_once_lost(*args, **kwargs):
        if lost:
            raise lost.pop()
        return await renew(*args, **kwargs)

    monkeypatch.setattr(harness.store, "renew", renew_once_lost)
    await harness.pass_time(12)
    assert run.canceled.is_set()
    (await harness.provider.next_run(1)).end()
    ended = await harness.ended(made.id)
    assert (ended.status, ended.termination_reason) == (Status.SUCCEEDED, None)


async def test_a_run_that_cannot_even_be_broken_off_is_tried_again(harness, monkeypatch) -> None:
    finish, refused = harness.store.finish, []

    def broken(*args, **more):
        if len(refused) < 3:
            refused.append(args)
            raise ValueError("a fault of ours")
        return finish(*args, **more)

    monkeypatch.setattr(harness.store, "finish", broken)
    made = await harness.create()
    (await harness.provider.next_run()).end()
    while len(refused) < 2:
        await asyncio.sleep(0.001)
    await harness.pass_time(2 * LONGEST_RETRY_SECONDS)
    assert (await harness.ended(made.id)).status is Status.FAILED
    while harness.worker.running:
        await asyncio.sleep(0.001)
