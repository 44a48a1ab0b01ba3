"""Abandoned work: canceled when the last who waits for it is gone, and only where that was wanted."""

import asyncio
from typing import Any

import pytest

from api.test_server import Wire, connected, get, running, world_on_a_port
from api.world import World, settled
from halley.api.presentation.preferences import cancel_abandoned
from halley.api.server import UvicornServer
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.status import Status

pytestmark = pytest.mark.anyio

GRACE = 10.0
WANTED = {"Prefer": "cancel-abandoned"}


async def wanted(world: World, **more: Any) -> str:
    """A prediction that is to be canceled when it is abandoned."""
    made = await world.create("acme/free", headers=WANTED, **more)
    return str(made["id"])


async def passes(world: World, seconds: float) -> None:
    """Let time pass, and the attendance have its turn."""
    world.clock.advance(seconds)
    await world.attendance.tick()


async def status(world: World, prediction_id: str) -> Status:
    return (await world.row(prediction_id)).status


# what is wanted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefer", "said"),
    [
        ("", None),
        ("wait=5", None),
        ("cancel-abandoned", True),
        ("wait=5, Cancel-Abandoned", True),
        ("cancel-abandoned=true;x=y , wait", True),
        ('cancel-abandoned="1"', True),
        ("cancel-abandoned=false", False),
        ("cancel-abandoned=0, wait", False),
        ("cancel-abandoned=maybe", None),
        ("cancel-abandoned-x", None),
    ],
)
async def test_the_preference_is_read(prefer: str, said: bool | None) -> None:
    assert cancel_abandoned(prefer) is said


@pytest.mark.parametrize(
    ("option", "prefer", "expected"),
    [
        (False, "respond-async", False),
        (True, "respond-async", True),
        (True, "cancel-abandoned=false", False),
        (False, "cancel-abandoned", True),
    ],
)
async def test_the_request_decides_then_the_key(world: World, option: bool, prefer: str, expected: bool) -> None:
    key = (await world.keys.verify(world.token)).key
    await world.keys.change_options(key.id, {"cancel_abandoned": option})
    reply = await world.post("/v1/predictions", {"version": "acme/free"}, headers={"Prefer": prefer})
    assert (await world.row(reply.json()["id"])).cancel_abandoned is expected
    shown = prefer if "abandoned" in prefer else None
    assert reply.headers.get("preference-applied") == shown


async def test_both_preferences_are_reported_as_applied(world: World) -> None:
    asked = asyncio.ensure_future(
        world.post("/v1/predictions", {"version": "acme/free"}, headers={"Prefer": "wait=9, cancel-abandoned"})
    )
    await settled()
    made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
    await world.run(made.id)
    assert (await asked).headers["preference-applied"] == "wait=9, cancel-abandoned"


# who leaves -------------------------------------------------------------------------------------------------------


async def test_a_prediction_without_a_waiting_client_is_not_abandoned(world: World) -> None:
    prediction_id = await wanted(world)
    await passes(world, 1000)
    assert await status(world, prediction_id) is Status.STARTING


async def test_a_client_that_got_its_answer_does_not_abandon(world: World) -> None:
    prediction_id = await wanted(world)
    row = await world.row(prediction_id)
    with world.attendance.waiting(row, lambda: True):
        await passes(world, 1000)
    await passes(world, 1000)
    assert await status(world, prediction_id) is Status.STARTING
    assert await world.store.awaited() == []


async def test_the_last_one_who_leaves_ends_it_after_the_grace(world: World) -> None:
    prediction_id = await wanted(world)
    row = await world.row(prediction_id)
    world.attendance.arrive(row)
    world.attendance.arrive(row)
    world.attendance.depart(prediction_id, is_told=False)
    await passes(world, 1000)
    assert await status(world, prediction_id) is Status.STARTING, "one still waits"
    world.attendance.depart(prediction_id, is_told=False)
    await passes(world, GRACE - 0.1)
    assert await status(world, prediction_id) is Status.STARTING
    await passes(world, 0.1)
    ended = await world.row(prediction_id)
    assert (ended.status, ended.termination_reason, ended.error) == (Status.CANCELED, "abandoned", None)
    shown = (await world.get(f"/v1/predictions/{prediction_id}")).json()
    assert (shown["status"], shown["termination_reason"]) == ("canceled", "abandoned")


async def test_a_client_that_reconnects_in_time_keeps_the_prediction(world: World) -> None:
    prediction_id = await wanted(world)
    row = await world.row(prediction_id)
    for _ in range(3):
        with world.attendance.waiting(row, lambda: False):
            await passes(world, 1000)
        await passes(world, GRACE - 1)
    assert await status(world, prediction_id) is Status.STARTING
    await passes(world, 1)
    assert await status(world, prediction_id) is Status.CANCELED


async def test_a_plain_read_is_a_sign_of_life_and_a_foreign_one_is_not(world: World) -> None:
    prediction_id = await wanted(world)
    row = await world.row(prediction_id)
    for token, expected in ((world.token, Status.STARTING), (world.other_token, Status.CANCELED)):
        with world.attendance.waiting(row, lambda: False):
            pass
        await world.get(f"/v1/predictions/{prediction_id}", token=token)
        await passes(world, 1000)
        assert await status(world, prediction_id) is expected


async def test_what_ends_by_itself_stays_as_it_ended(world: World) -> None:
    prediction_id = await wanted(world)
    with world.attendance.waiting(await world.row(prediction_id), lambda: False):
        pass
    await world.run(prediction_id)
    await passes(world, 1000)
    ended = await world.row(prediction_id)
    assert (ended.status, ended.termination_reason) == (Status.SUCCEEDED, None)
    assert await world.store.awaited() == []


async def test_confirmation_is_not_needed_without_the_option(world: World) -> None:
    made = await world.create("acme/free")
    with world.attendance.waiting(await world.row(made["id"]), lambda: False):
        await passes(world, 1)
        assert await world.store.awaited() == []
    await passes(world, 1000)
    assert await status(world, made["id"]) is Status.STARTING


async def come_back(world: World, prediction_id: str) -> None:
    world.attendance.arrive(await world.row(prediction_id))


async def ask_for(world: World, prediction_id: str) -> None:
    await world.get(f"/v1/predictions/{prediction_id}")


@pytest.mark.parametrize("sign_of_life", [come_back, ask_for])
async def test_a_sign_of_life_while_another_one_is_canceled_counts(
    world: World, sign_of_life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, saved, lost_too = [await wanted(world) for _ in range(3)]
    for prediction_id in (lost, saved, lost_too):
        with world.attendance.waiting(await world.row(prediction_id), lambda: False):
            pass
    cancel = world.predictions.cancel

    async def cancel_meanwhile(prediction_id: str, *args: Any, **kwargs: Any) -> Any:
        if prediction_id == lost:
            await sign_of_life(world, saved)
        return await cancel(prediction_id, *args, **kwargs)

    monkeypatch.setattr(world.predictions, "cancel", cancel_meanwhile)
    await passes(world, GRACE)
    assert [await status(world, one) for one in (lost, saved, lost_too)] == ["canceled", "starting", "canceled"]


# restarts ---------------------------------------------------------------------------------------------------------


async def restarted(world: World) -> AbandonmentTracker:
    attendance = AbandonmentTracker(
        store=world.store, predictions=world.predictions, clock=world.clock, grace_seconds=GRACE, node_id="n2"
    )
    await attendance.open()
    return attendance


async def test_after_a_crash_who_was_waited_for_gets_a_fresh_grace(world: World) -> None:
    lost, saved, done = [await wanted(world) for _ in range(3)]
    for prediction_id in (lost, saved, done):
        world.attendance.arrive(await world.row(prediction_id))
    await passes(world, 1)
    assert await world.store.awaited() == sorted([lost, saved, done])
    await world.run(done)
    again = await restarted(world)
    world.clock.advance(GRACE - 1)
    again.arrive(await world.row(saved))
    await again.tick()
    assert await world.store.awaited() == sorted([lost, saved])
    world.clock.advance(1)
    await again.tick()
    assert [await status(world, one) for one in (lost, saved, done)] == ["canceled", "starting", "succeeded"]
    assert await world.store.awaited() == [saved]


async def test_a_stopping_server_lets_clients_reconnect(world: World) -> None:
    prediction_id = await wanted(world)
    row = await world.row(prediction_id)
    world.attendance.arrive(row)
    await passes(world, 1)
    world.api.release_waiting()
    world.attendance.depart(prediction_id, is_told=True)  # it got an answer, but not the one it waited for
    await passes(world, 1000)
    assert await status(world, prediction_id) is Status.STARTING
    assert await world.store.awaited() == [prediction_id]
    again = await restarted(world)
    world.clock.advance(GRACE)
    await again.tick()
    assert await status(world, prediction_id) is Status.CANCELED


# over connections -------------------------------------------------------------------------------------------------


async def waits(world: World, prediction_id: str) -> None:
    """Until somebody is counted as waiting for it."""
    while prediction_id not in await world.store.awaited():
        await asyncio.sleep(0)
        await world.attendance.tick()


async def closed(server: UvicornServer) -> None:
    while server.server_state.connections or server.server_state.tasks:
        await asyncio.sleep(0)


async def held_get(wire: Wire, world: World, prediction_id: str) -> None:
    await wire.send(get(f"/v1/predictions/{prediction_id}", world.token, "Prefer: wait=30"))


async def stream(wire: Wire, world: World, prediction_id: str) -> None:
    url = (await world.get(f"/v1/predictions/{prediction_id}")).json()["urls"]["stream"]
    await wire.send(get("/v1/streams/" + url.rpartition("/")[2], world.token))


@pytest.mark.parametrize("wait", [held_get, stream])
async def test_a_lost_connection_counts_as_leaving(wait: Any) -> None:
    world = await world_on_a_port()
    prediction_id = await wanted(world)
    async with running(world) as server:
        async with connected(server) as wire:
            await wait(wire, world, prediction_id)
            await waits(world, prediction_id)
        await closed(server)
        await passes(world, GRACE)
        assert await status(world, prediction_id) is Status.CANCELED


@pytest.mark.parametrize("patience", [0, 2], ids=["at once", "later"])
async def test_a_waiting_create_that_loses_its_connection_counts_as_leaving(patience: int) -> None:
    world = await world_on_a_port()
    body = b'{"version":"acme/free"}'
    head = get("/v1/predictions", world.token, "Prefer: wait, cancel-abandoned", f"Content-Length: {len(body)}")
    async with running(world) as server:
        async with connected(server) as wire:
            await wire.send(head.replace(b"GET", b"POST") + body)
            while not len(world.hub):
                await asyncio.sleep(0)
            made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
            await waits(world, made.id)
            world.clock.advance(patience)
            world.changed(made.id)
            while patience and not world.hub.parked:
                await asyncio.sleep(0)
        await closed(server)
        await passes(world, GRACE)
        assert await status(world, made.id) is Status.CANCELED


async def test_who_gets_the_answer_and_closes_does_not_abandon() -> None:
    world = await world_on_a_port()
    prediction_id = await wanted(world)
    async with running(world) as server:
        async with connected(server) as wire:
            await held_get(wire, world, prediction_id)
            await waits(world, prediction_id)
            world.clock.advance(30)
            world.changed(prediction_id)
            await wire.answer()
        await closed(server)
        await passes(world, 1000)
        assert await status(world, prediction_id) is Status.STARTING
