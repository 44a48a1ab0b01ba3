"""Creates that come again without a key: told by the client's count, or by the dropped connection before."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.world import UNREAD, Connection, CountingStore, Reply, World, settled
from halley.api.repeats import COUNTED_SECONDS, DROPPED_SECONDS
from halley.api.resources.bodies import read_create
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.status import EventKind
from halley.settings import QuirkSettings

pytestmark = pytest.mark.anyio

WAIT = {"Prefer": "wait=30"}
BODY = {"version": "acme/echo", "input": {"prompt": "hi"}}


def counted(count: int, **more: str) -> dict[str, str]:
    return {"X-Stainless-Retry-Count": str(count), **more}


async def post(world: World, *, headers: dict[str, str] | None = None, body: Any = BODY, **more: Any) -> Reply:
    return await world.post("/v1/predictions", body, headers=headers, **more)


@asynccontextmanager
async def waiting(world: World, **more: Any) -> AsyncIterator[tuple["asyncio.Task[Reply]", Connection]]:
    """A create that is being waited for."""
    connection = Connection()
    headers = {**WAIT, **more.pop("headers", {})}
    task = asyncio.ensure_future(post(world, headers=headers, connection=connection, **more))
    await settled()
    assert not task.done()
    try:
        yield task, connection
    finally:
        await settled()
        if not task.done():
            connection.lose(by_peer=False)
        await task


async def ids(world: World, token: str = "") -> list[str]:
    found: list[str] = []
    path: str | None = "/v1/predictions"
    while path is not None:  # what is large has pages of its own
        listed = (await world.get(path, token=token)).json()
        found += [item["id"] for item in listed["results"]]
        path = listed["next"] and listed["next"].removeprefix("http://localhost:1986")
    return found


async def dropped(world: World, **more: Any) -> str:
    """A waiting create whose peer left; its prediction."""
    async with waiting(world, **more) as (_, connection):
        (newest, *_) = await ids(world, more.get("token", ""))
        connection.lose()
    return newest


# a dropped connection


async def test_the_repeat_of_a_dropped_create_gets_its_prediction(world: World) -> None:
    first = await dropped(world)
    world.clock.advance(DROPPED_SECONDS)
    reply = await post(world)
    assert (reply.status, reply.json()["id"]) == (201, first)
    assert reply.headers["idempotency-replayed"] == "true"
    assert reply.headers["location"].endswith(first)
    assert await ids(world) == [first]


async def test_a_repeat_waits_as_the_first_did(world: World) -> None:
    first = await dropped(world)
    async with waiting(world) as (task, _):
        await world.run(first, "done")
        reply = await task
    assert reply.status == 201
    assert reply.headers["preference-applied"] == "wait=30"
    assert (reply.json()["id"], reply.json()["status"], reply.json()["output"]) == (first, "succeeded", "done")


async def test_a_repeat_of_what_has_ended_is_answered_at_once(world: World) -> None:
    first = await dropped(world)
    await world.run(first, "done")
    reply = await post(world, headers=WAIT)
    assert (reply.json()["id"], reply.json()["output"]) == (first, "done")


@pytest.mark.parametrize("headers", [{}, {"Prefer": "wait=5"}], ids=["at once", "after a wait"])
async def test_an_unfinished_prediction_is_shown_as_it_was_made(world: World, headers: dict[str, str]) -> None:
    made = (await post(world, body={"version": "acme/tokens", "input": {}})).json()
    first = await dropped(world, body={"version": "acme/tokens"})
    await world.start(first)
    await world.output(first, "a", add=True)
    await world.log(first, "50%")
    task = asyncio.ensure_future(post(world, headers=headers, body={"version": "acme/tokens"}))
    await settled()
    world.clock.advance(5)
    world.changed(first)
    reply = await task
    shown = reply.json()
    assert (reply.status, shown["id"]) == (202 if headers else 201, first)
    assert (shown["status"], shown["output"], shown["logs"]) == ("starting", None, "")
    assert shown.keys() == made.keys() | {"repeated_creates"}


async def test_too_late_a_repeat_is_a_new_create(world: World) -> None:
    first = await dropped(world)
    world.clock.advance(DROPPED_SECONDS + 0.001)
    assert (await post(world)).json()["id"] != first


async def test_one_drop_is_repeated_once(world: World) -> None:
    first = await dropped(world)
    assert (await post(world)).json()["id"] == first
    second = await post(world)
    assert second.json()["id"] != first
    assert "idempotency-replayed" not in second.headers


async def test_a_repeat_that_is_dropped_too_is_repeated_again(world: World) -> None:
    first = await dropped(world)
    for _ in range(5):  # the JavaScript client tries six times
        assert await dropped(world) == first
    assert (await post(world)).json()["id"] == first
    assert await ids(world) == [first]


async def test_two_dropped_creates_are_repeated_one_each(world: World) -> None:
    async with waiting(world) as (_, one), waiting(world) as (_, other):
        made = await ids(world)
        one.lose()
        other.lose()
    replies = [(await post(world)).json()["id"] for _ in range(3)]
    assert sorted(replies[:2]) == sorted(made)
    assert replies[2] not in made


async def test_what_began_before_the_drop_repeats_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()

    async def slowly(*given: Any) -> Any:
        read = await read_create(*given)
        await gate.wait()  # the body takes its time
        return read

    async with waiting(world) as (_, first):
        monkeypatch.setattr("halley.api.resources.creates.read_create", slowly)
        task = asyncio.ensure_future(post(world))
        await settled()
        world.clock.advance(0.1)
        first.lose()
        gate.set()
        reply = await task
    assert reply.status == 201
    assert "idempotency-replayed" not in reply.headers
    assert len(await ids(world)) == 2


async def test_our_own_closing_is_no_drop(world: World) -> None:
    async with waiting(world) as (_, connection):
        connection.lose(by_peer=False)
    await post(world)
    assert len(await ids(world)) == 2


async def test_a_sent_answer_is_not_a_dropped_connection(world: World) -> None:
    connection = Connection()
    first = (await post(world, connection=connection)).json()["id"]
    connection.response_complete = True
    connection.lose()
    assert (await post(world)).json()["id"] != first


async def test_an_answer_that_stuck_on_its_way_is_a_drop(world: World) -> None:
    connection = Connection()
    first = (await post(world, connection=connection)).json()["id"]
    connection.response_complete = True
    connection.lose(was_unsent=True)
    assert (await post(world)).json()["id"] == first


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"version": "acme/echo", "input": {"prompt": "ho"}}},
        {"body": json.dumps(BODY, separators=(",", ":")).encode()},
        {"headers": {"Cancel-After": "60"}},
        {"headers": counted(0)},
        {"headers": {"Idempotency-Key": "k"}},
        {"token": "other"},
        {"token": "second"},
    ],
    ids=str,
)
async def test_what_differs_repeats_nothing(world: World, other: dict[str, Any]) -> None:
    second, _ = await world.keys.issue("alice", "another key", frozenset({"read", "write"}))  # type: ignore[arg-type]
    if "token" in other:
        other = {"token": second if other["token"] == "second" else world.other_token}
    first = await dropped(world)
    reply = await post(world, **other)
    assert reply.status == 201
    assert reply.json()["id"] != first
    assert "idempotency-replayed" not in reply.headers


async def test_another_path_to_the_same_version_is_another_create(world: World) -> None:
    first = await dropped(world)
    reply = await world.post("/v1/models/acme/echo/predictions", {"input": {"prompt": "hi"}})
    assert reply.json()["id"] != first


async def test_other_spellings_of_the_base_url_are_the_same_path(world: World) -> None:
    first = await dropped(world)
    assert (await world.post("/replicate/v1/predictions", BODY)).json()["id"] == first


async def test_a_large_body_is_known_again(world: World) -> None:
    body = {"version": "acme/echo", "input": {"prompt": "x" * 100_000}}
    first = await dropped(world, body=body)
    assert (await post(world, body={"version": "acme/echo", "input": {"prompt": "y" * 100_000}})).json()["id"] != first
    assert (await post(world, body=body)).json()["id"] == first


async def test_a_repeat_of_a_canceled_prediction_creates_a_new_one(world: World) -> None:
    first = await dropped(world)
    await world.post(f"/v1/predictions/{first}/cancel")
    fresh = (await post(world)).json()
    assert fresh["id"] != first
    assert not world.api.parts.repeats._in_flight


async def test_a_refused_create_leaves_nothing_to_repeat(world: World) -> None:
    connection = Connection()
    reply = await post(world, body={"version": "acme/echo", "input": {}}, connection=connection)
    assert reply.status == 422
    connection.response_complete = True
    connection.lose(was_unsent=True)
    reply = await post(world, body={"version": "acme/echo", "input": {}})
    assert reply.status == 422
    assert not world.api.parts.repeats._in_flight


# while the create is being committed


class GatedStore(CountingStore):
    """Creates are done when the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.fails = False

    def create(self, new: NewPrediction) -> Awaitable[Created]:
        return self._late(new)

    async def _late(self, new: NewPrediction) -> Created:
        await self.gate.wait()
        if self.fails:
            self.fails = False
            raise OSError("the disk burns")
        return await super().create(new)


async def gated() -> tuple[World, GatedStore]:
    store = GatedStore()
    return await World(store=store).fill(), store


async def test_a_repeat_of_what_is_being_committed_waits_for_it() -> None:
    world, store = await gated()
    first = Connection()
    one = asyncio.ensure_future(post(world, headers=WAIT, connection=first))
    await settled()
    first.lose()
    two = asyncio.ensure_future(post(world))
    await settled()
    assert not two.done()
    store.gate.set()
    reply = await two
    await one
    assert await ids(world) == [reply.json()["id"]]
    assert reply.headers["idempotency-replayed"] == "true"


async def test_a_repeat_of_what_could_not_be_committed_is_a_new_create() -> None:
    world, store = await gated()
    store.fails = True
    first = Connection()
    one = asyncio.ensure_future(post(world, connection=first))
    await settled()
    first.lose()
    two = asyncio.ensure_future(post(world))
    await settled()
    store.gate.set()
    assert (await one).status == UNREAD
    reply = await two
    assert reply.status == 201
    assert await ids(world) == [reply.json()["id"]]


async def test_a_chain_of_drops_during_one_commit_makes_one() -> None:
    world, store = await gated()
    tasks = []
    for _ in range(6):
        connection = Connection()
        tasks.append(asyncio.ensure_future(post(world, headers=WAIT, connection=connection)))
        await settled()
        connection.lose()
    last = asyncio.ensure_future(post(world))
    await settled()
    store.gate.set()
    (made,) = {(await last).json()["id"]}
    await asyncio.gather(*tasks)
    assert await ids(world) == [made]


async def test_at_the_same_time_on_two_connections_makes_two() -> None:
    world, store = await gated()
    tasks = [asyncio.ensure_future(post(world)) for _ in range(2)]
    await settled()
    store.gate.set()
    assert len({(await task).json()["id"] for task in tasks}) == 2


# a client that counts


@pytest.mark.parametrize("seconds", [0.0, 0.5, COUNTED_SECONDS])
async def test_a_second_try_gets_the_prediction_of_the_first(world: World, seconds: float) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    world.clock.advance(seconds)
    reply = await post(world, headers=counted(1))
    assert (reply.status, reply.json()["id"]) == (201, first)
    assert reply.headers["idempotency-replayed"] == "true"
    assert (await post(world, headers=counted(2))).json()["id"] == first
    assert await ids(world) == [first]


async def test_after_two_minutes_a_second_try_is_a_new_create(world: World) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    world.clock.advance(COUNTED_SECONDS + 0.001)
    assert (await post(world, headers=counted(1))).json()["id"] != first


async def test_a_second_try_whose_first_never_came_is_a_create(world: World) -> None:
    first = await post(world, headers=counted(1))
    assert first.status == 201
    assert "idempotency-replayed" not in first.headers
    assert (await post(world, headers=counted(2))).json()["id"] == first.json()["id"]


async def test_two_calls_that_try_again_get_one_each(world: World) -> None:
    made = [(await post(world, headers=counted(0))).json()["id"] for _ in range(2)]
    for count in (1, 2):
        again = [(await post(world, headers=counted(count))).json()["id"] for _ in range(2)]
        assert sorted(again) == sorted(made)


async def test_calls_at_different_tries_do_not_take_each_others_places(world: World) -> None:
    far = (await post(world, headers=counted(0))).json()["id"]
    assert (await post(world, headers=counted(1))).json()["id"] == far
    near = (await post(world, headers=counted(0))).json()["id"]
    assert (await post(world, headers=counted(2))).json()["id"] == far
    assert (await post(world, headers=counted(1))).json()["id"] == near
    assert len(await ids(world)) == 2


async def test_a_drop_at_another_try_is_left_to_its_own_call(world: World) -> None:
    far = (await post(world, headers=counted(0))).json()["id"]
    assert (await post(world, headers=counted(1))).json()["id"] == far
    near = await dropped(world, headers=counted(0))
    assert (await post(world, headers=counted(2))).json()["id"] == far
    assert (await post(world, headers=counted(1))).json()["id"] == near


async def test_an_answer_that_was_given_to_another_cannot_get_stuck_any_more(world: World) -> None:
    far = (await post(world, headers=counted(0))).json()["id"]
    stuck = Connection()
    near = (await post(world, headers=counted(0), connection=stuck)).json()["id"]
    assert (await post(world, headers=counted(1))).json()["id"] == near
    stuck.response_complete = True
    stuck.lose(was_unsent=True)
    assert (await post(world, headers=counted(1))).json()["id"] == far


async def test_a_drop_that_was_found_by_its_count_is_not_repeated_again(world: World) -> None:
    first = await dropped(world, headers=counted(0))
    assert (await post(world, headers=counted(2))).json()["id"] == first
    assert (await post(world, headers=counted(1))).json()["id"] != first


async def test_a_call_that_had_its_second_try_is_not_shared_with_the_next(world: World) -> None:
    first = await dropped(world, headers=counted(0))
    assert (await post(world, headers=counted(1))).json()["id"] == first
    assert (await post(world, headers=counted(1))).json()["id"] != first


async def test_the_one_that_dropped_comes_before_newer_ones(world: World) -> None:
    first = await dropped(world, headers=counted(0))
    world.clock.advance(0.1)
    newer = (await post(world, headers=counted(0))).json()["id"]
    world.clock.advance(8.0)
    assert (await post(world, headers=counted(1))).json()["id"] == first
    assert (await post(world, headers=counted(1))).json()["id"] == newer


async def test_a_create_in_flight_is_not_repeated(world: World) -> None:
    async with waiting(world, headers=counted(0)) as (_, connection):
        (first,) = await ids(world)
        second = (await post(world, headers=counted(1))).json()["id"]
        assert second != first
        connection.lose()
    assert (await post(world, headers=counted(1))).json()["id"] == first


async def test_first_tries_are_never_repeats(world: World) -> None:
    first = await dropped(world, headers=counted(0))
    assert (await post(world, headers=counted(0))).json()["id"] != first


@pytest.mark.parametrize("count", ["", "-1", "one", "1.0", "99999", "²"])
async def test_a_count_that_is_none_is_ignored(world: World, count: str) -> None:
    first = (await post(world)).json()["id"]
    assert (await post(world, headers={"X-Stainless-Retry-Count": count})).json()["id"] != first


async def test_the_same_version_by_another_name_is_found(world: World) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    body = {"version": world.versions["acme/echo"], "input": {"prompt": "hi"}}
    assert (await post(world, body=body, headers=counted(1))).json()["id"] == first


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"version": "acme/echo", "input": {"prompt": "ho"}}},
        {"body": {**BODY, "webhook": "https://example.com/x"}},
        {"headers": {"Cancel-After": "60"}},
        {"token": "other"},
    ],
    ids=str,
)
async def test_what_differs_is_no_second_try(world: World, other: dict[str, Any]) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    other = {**other, "headers": counted(1, **other.get("headers", {}))}
    if "token" in other:
        other["token"] = world.other_token
    reply = await post(world, **other)
    assert reply.status == 201
    assert reply.json()["id"] != first


async def test_a_canceled_prediction_answers_no_second_try(world: World) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    await world.post(f"/v1/predictions/{first}/cancel")
    assert (await post(world, headers=counted(1))).json()["id"] != first


async def test_a_second_try_of_an_unknown_model_is_refused(world: World) -> None:
    reply = await post(world, body={"version": "acme/none", "input": {}}, headers=counted(1))
    assert reply.status == 422


async def test_after_a_restart_the_counts_are_still_used(world: World) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    reborn = World(store=world.store)
    reborn.clock.advance((world.clock.now() - reborn.clock.now()).total_seconds() + 1)
    await reborn.fill()
    reborn.keys = world.keys
    reborn.api.parts.keys = world.keys
    assert (await post(reborn, headers=counted(1), token=world.token)).json()["id"] == first


# seen, counted, switched off


async def test_a_repeat_can_be_seen(world: World) -> None:
    first = await dropped(world)
    assert (await post(world)).json()["repeated_creates"] == 1
    shown = (await world.get(f"/v1/predictions/{first}")).json()
    assert shown["repeated_creates"] == 1
    await world.run(first)
    assert (await world.get(f"/v1/predictions/{first}")).json()["repeated_creates"] == 1
    events = await world.store.read_events(first)
    assert [event.data for event in events if event.kind is EventKind.REPEATED] == [b'"dropped_connection"']


async def test_a_cached_answer_shows_the_repeat_too(world: World) -> None:
    first = (await post(world, headers=counted(0))).json()["id"]
    await world.run(first)
    before = await world.get(f"/v1/predictions/{first}")
    assert (await post(world, headers=counted(1))).json()["repeated_creates"] == 1
    after = await world.get(f"/v1/predictions/{first}")
    assert after.json() == {**before.json(), "repeated_creates": 1}
    assert after.headers["etag"] != before.headers["etag"]


async def test_repeats_are_counted_for_the_operator(world: World) -> None:
    admin, _ = await world.keys.issue("root", "admin", frozenset({"admin"}))  # type: ignore[arg-type]
    await dropped(world)
    await post(world)
    await post(world, headers=counted(0))
    await post(world, headers=counted(1))
    await post(world, headers=counted(2))
    for _ in range(2):
        await post(world, headers={"Idempotency-Key": "k"})
    counts = (await world.get("/v1/counts", token=admin)).json()
    assert counts["replayed_creates"] == {"idempotency_key": 1, "retry_counter": 2, "dropped_connection": 1}
    assert (await world.get("/v1/counts")).status == 403


async def test_it_can_be_switched_off() -> None:
    world = await World(quirks=QuirkSettings(repeated_creates=False)).fill()
    await dropped(world)
    await post(world)
    await post(world, headers=counted(1))
    assert len(await ids(world)) == 3
    for _ in range(2):
        assert (await post(world, headers={"Idempotency-Key": "k"})).status == 201
    assert len(await ids(world)) == 4


async def test_ordinary_creates_leave_nothing_behind(world: World) -> None:
    for headers in ({}, counted(0), {"Idempotency-Key": "k"}):
        await post(world, headers=headers)
    repeats = world.api.parts.repeats
    assert not repeats._in_flight
    assert not repeats._keys
    assert not repeats._dropped
    assert not repeats._tries


async def test_many_drops_and_tries_are_forgotten_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halley.api.repeats._MOST_DROPPED", 10)
    monkeypatch.setattr("halley.api.repeats._MOST_TRIES", 10)
    repeats = world.api.parts.repeats
    for number in range(30):
        await dropped(world, body={"version": "acme/echo", "input": {"prompt": str(number)}})
        await post(world, body={"version": "acme/echo", "input": {"prompt": f"c{number}"}}, headers=counted(1))
    assert (len(repeats._dropped), len(repeats._drops), len(repeats._tries)) == (10, 10, 10)
    world.clock.advance(1000)
    await dropped(world)
    await post(world, headers=counted(1), body={"version": "acme/free"})
    assert (len(repeats._dropped), len(repeats._drops), len(repeats._tries)) == (1, 1, 1)
