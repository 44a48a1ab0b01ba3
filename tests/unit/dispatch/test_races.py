"""Two things in the same turn of the loop: no slot is lost, nothing breaks, nothing begins in a process that stops."""

import asyncio

import pytest

from halley.dispatch.slot_queue import SlotQueue
from halley.predictions.status import Status

pytestmark = pytest.mark.anyio

V = "1" * 64


async def test_a_slot_is_not_given_to_who_was_put_back_in_the_same_turn(bottle) -> None:
    queue = SlotQueue(bottle.worker._providers, room=lambda _: None, freed=lambda _: None)
    assert bottle.provider.take_slot(V)
    waiting = asyncio.ensure_future(queue.take_slot(V))
    await asyncio.sleep(0)
    bottle.provider.drop_slot(V)
    waiting.cancel()
    queue.serve(V)  # before the one who waits has run again
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bottle.provider.held == 0
    assert not queue.waits(V)


async def test_what_was_claimed_while_the_server_began_to_stop_is_given_back(bottle, monkeypatch) -> None:
    first = await bottle.create()
    run = await bottle.provider.next_run()
    waits = await bottle.create()
    claim, reached, go_on, done = bottle.store.claim, asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow_claim(*args, **more):
        reached.set()
        await go_on.wait()
        claimed = await claim(*args, **more)
        done.set()
        return claimed

    monkeypatch.setattr(bottle.store, "claim", slow_claim)
    run.end()
    await bottle.ended(first.id)
    await reached.wait()
    await bottle.worker.drain(1.0)
    go_on.set()
    await done.wait()
    await asyncio.sleep(0.01)
    row = await bottle.predictions.get(waits.id, "ada")
    assert (row.status, len(bottle.provider.runs), bottle.provider.held) == (Status.STARTING, 1, 0)
    assert await bottle.store.waiting() == {V: 1}


async def test_a_create_that_cannot_be_stored_keeps_no_slot(bottle) -> None:
    with pytest.raises(UnicodeEncodeError):
        await bottle.create(context={"word": "\ud800"})
    assert bottle.provider.held == 0
