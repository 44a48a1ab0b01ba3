"""A create that waits: answered by the end itself, without a read, and with the bytes of a read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.world import Connection, CountingStore, Reply, SlowStore, World, settled
from halley.api.application import Api
from halley.api.http.asgi import Outcome, Variant
from halley.api.resources.create_answers import CreateAnswer
from halley.api.waiting.hold import Snapshot
from halley.predictions.hints import Changed
from halley.predictions.records import Prediction
from halley.predictions.status import Fact

pytestmark = pytest.mark.anyio

WAIT = {"Prefer": "wait"}


class ForgetfulStore(CountingStore):
    """No row is at hand: each answer needs a read."""

    def just_ended(self, prediction_id: str) -> Prediction | None:
        return None


def asked(world: World, prompt: str = "hi", **more: Any) -> "asyncio.Task[Reply]":
    body = {"version": "acme/echo", "input": {"prompt": prompt}}
    return asyncio.ensure_future(world.post("/v1/predictions", body, headers=WAIT, **more))


async def newest(world: World) -> str:
    found = (await world.get("/v1/predictions")).json()["results"][0]["id"]
    assert isinstance(found, str)
    return found


async def test_an_end_answers_without_a_read(world: World) -> None:
    asking = asked(world)
    await settled()
    prediction_id = await newest(world)
    await world.start(prediction_id)
    await world.output(prediction_id, "hello")
    await settled()
    before = world.counting.reads
    await world.finish(prediction_id)
    assert world.counting.reads == before
    reply = await asking
    assert (reply.status, reply.json()["output"]) == (201, "hello")
    assert world.counting.reads == before
    assert len(world.hub) == 0


async def test_a_store_that_has_no_row_at_hand_is_read() -> None:
    world = await World(store=ForgetfulStore()).fill()
    waiters = asyncio.ensure_future(world.hub.run())
    asking = asked(world)
    await settled()
    await world.run(await newest(world))
    reply = await asking
    assert (reply.status, reply.json()["output"]) == (201, "hello")
    waiters.cancel()


@pytest.mark.parametrize("fact", [Fact.SUCCEEDED, Fact.FAILED])
@pytest.mark.parametrize("prompt", ["hi", "x" * 100_000])
async def test_both_ways_make_the_same_answer(world: World, fact: Fact, prompt: str) -> None:
    asking = asked(world, prompt)
    await settled()
    prediction_id = await newest(world)
    await world.start(prediction_id)
    picture = await world.keep(prediction_id, 0, "a.png", b"picture", "image/png")
    await world.output(prediction_id, picture.ref, files=(picture,))
    await world.finish(prediction_id, fact, error="no" if fact is Fact.FAILED else None)
    row = await world.row(prediction_id)
    for variant in (
        Variant(number=1, origin="http://localhost:1986", family="", data_urls=False, expose_aborted=False),
        Variant(number=2, origin="http://other", family="/replicate", data_urls=False, expose_aborted=True),
    ):
        answer = CreateAnswer(world.api.parts, row, variant, [(b"location", b"/x")])
        assert answer.about_end(row) == await answer(Snapshot(row, 0))
    assert (await asking).json()["urls"]["get"].endswith(prediction_id)


async def test_files_as_data_urls_are_read_first(world: World) -> None:
    asking = asked(world)
    await settled()
    prediction_id = await newest(world)
    await world.start(prediction_id)
    picture = await world.keep(prediction_id, 0, "a.png", b"picture", "image/png")
    await world.output(prediction_id, picture.ref, files=(picture,))
    await world.finish(prediction_id)
    row = await world.row(prediction_id)
    variant = Variant(number=3, origin="http://localhost", family="", data_urls=True, expose_aborted=False)
    answer = CreateAnswer(world.api.parts, row, variant, [])
    assert answer.about_end(row) is None
    assert b'"data:image/png;base64,' in (await answer(Snapshot(row, 0))).body
    await asking


async def test_one_that_cannot_become_a_hold_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = [asked(world, prompt) for prompt in ("first", "second")]
    await settled()
    made = [item["id"] for item in (await world.get("/v1/predictions")).json()["results"]]
    expect_end, failures = CreateAnswer.expect_end, [ZeroDivisionError()]

    def fails_once(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return expect_end(*args)

    monkeypatch.setattr(CreateAnswer, "expect_end", fails_once)
    world.hub.hold_brief_waits()
    for prediction_id in made:
        await world.run(prediction_id)
    replies = await asyncio.wait_for(asyncio.gather(*asking), 60)
    assert [reply.status for reply in replies] == [500, 201]
    assert len(world.hub) == 0
    assert not world.api.parts.repeats._in_flight


async def test_nothing_is_answered_before_the_commit() -> None:
    store = SlowStore()
    world = await World(store=store).fill()
    asking = asked(world)
    await settled()
    world.hub.release_all()
    await settled()
    assert not asking.done()
    store.fault = OSError("the disk burns")
    store.gate.set()
    reply = await asking
    assert reply.status == 500
    assert len(world.hub) == 0


async def test_a_create_whose_client_left_before_the_commit_leaves_nothing_behind() -> None:
    store = SlowStore()
    world = await World(store=store).fill()
    connection = Connection()
    asking = asked(world, connection=connection)
    await settled()
    connection.lose()
    assert len(world.hub) == 0
    store.gate.set()
    await asking
    await settled()
    assert len(world.hub) == 0
    again = await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "hi"}})
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == await newest(world)


class LateConnection(Connection):
    """Its request is parked only after `first` is done: by then the create may be stored, and even ended."""

    def __init__(self, first: Callable[[], Awaitable[object]], *, is_left: bool = False) -> None:
        super().__init__()
        self._first = first
        self._is_left = is_left

    async def answer(self, api: Api, scope: Any, receive: Any, send: Any) -> None:
        exchange, answer = await api.begin(scope, receive)
        assert answer.later is not None
        await self._first()
        await settled()
        if self._is_left:
            answer.later.leave()
            return
        given: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        answer.later.park(given.set_result)
        await api.finish(exchange, await asyncio.wait_for(given, 60), scope, receive, send)


@pytest.mark.parametrize("waits", [False, True])
async def test_a_create_that_is_stored_before_it_is_parked_is_answered(world: World, waits: bool) -> None:
    async def until_stored() -> None:
        await settled()
        assert await newest(world)

    body = {"version": "acme/echo", "input": {"prompt": "hi"}}
    headers = WAIT if waits else {}
    connection = LateConnection(until_stored)
    asking = asyncio.ensure_future(world.post("/v1/predictions", body, headers=headers, connection=connection))
    await settled(60)
    assert asking.done() is not waits
    await world.run(await newest(world))
    reply = await asking
    assert (reply.status, reply.json()["status"]) == (201, "succeeded" if waits else "starting")
    assert len(world.hub) == 0


async def test_a_create_that_has_ended_before_it_is_parked_is_answered(world: World) -> None:
    async def until_ended() -> None:
        await settled()
        await world.run(await newest(world))

    reply = await asked(world, connection=LateConnection(until_ended))
    assert (reply.status, reply.json()["output"]) == (201, "hello")
    assert len(world.hub) == 0


async def test_a_write_that_fails_before_its_create_is_parked_is_answered() -> None:
    store = SlowStore()
    store.fault = OSError("the disk burns")
    store.gate.set()
    world = await World(store=store).fill()
    assert (await asked(world, connection=LateConnection(settled))).status == 500
    assert len(world.hub) == 0


async def test_a_client_that_leaves_after_the_commit_and_before_it_is_parked_leaves_nothing_behind(
    world: World,
) -> None:
    await asked(world, connection=LateConnection(settled, is_left=True))
    await settled()
    assert len(world.hub) == 0
    await world.run(await newest(world))


async def test_a_create_that_waits_for_long_is_a_hold(world: World) -> None:
    asking = asked(world)
    await settled()
    assert len(world.hub) == world.hub.parked == 1
    world.hub.hold_brief_waits()
    assert len(world.hub) == world.hub.parked == 1
    await world.run(await newest(world))
    assert (await asking).json()["output"] == "hello"
    assert len(world.hub) == 0


async def test_a_brief_wait_ages() -> None:
    world = await World().fill()
    asking = asked(world)
    await settled()
    assert not world.hub._groups
    async with asyncio.timeout(60):
        while not world.hub._groups:
            await asyncio.sleep(0.05)
    assert len(world.hub) == 1
    await world.run(await newest(world))
    assert (await asking).status == 201
    async with asyncio.timeout(60):
        while world.hub._aging is not None:
            await asyncio.sleep(0.05)


async def test_a_brief_wait_is_asked_for_its_key(world: World) -> None:
    asking = asked(world)
    await settled()
    assert len(world.api.parts.revocations) == 0
    await world.api.parts.revocations.look()
    assert len(world.api.parts.revocations) == 1
    await world.run(await newest(world))
    await asking
    assert len(world.api.parts.revocations) == 0


async def test_a_change_before_the_commit_is_looked_at_after_it() -> None:
    store = SlowStore()
    world = await World(store=store).fill()
    waiters = asyncio.ensure_future(world.hub.run())
    asking = asked(world)
    await settled()
    (prediction_id,) = world.hub._brief
    world.hub.receive(Changed(prediction_id))
    store.gate.set()
    before = store.reads
    await settled()
    assert store.reads == before + 1
    assert len(world.hub) == 1
    await world.run(prediction_id)
    assert (await asking).status == 201
    waiters.cancel()


async def test_both_a_brief_wait_and_a_reader_are_answered(world: World) -> None:
    asking = asked(world)
    await settled()
    prediction_id = await newest(world)
    await world.start(prediction_id)
    reading = asyncio.ensure_future(world.get(f"/v1/predictions/{prediction_id}", headers={"Prefer": "wait=20"}))
    await settled()
    await world.output(prediction_id, "hello")
    await world.finish(prediction_id)
    assert (await asking).json()["status"] == (await reading).json()["status"] == "succeeded"
