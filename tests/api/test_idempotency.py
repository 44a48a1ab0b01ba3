"""The header `Idempotency-Key`: one key, one prediction."""

import asyncio
import json
from typing import Any

import pytest

from api.test_repeats import GatedStore, gated, ids
from api.world import UNREAD, Connection, Reply, World, settled
from halley.errors import QueueFull
from halley.settings import LimitSettings, QuirkSettings

pytestmark = pytest.mark.anyio

BODY = {"version": "acme/echo", "input": {"prompt": "hi", "seed": 3}}
DAY = 86_400.0


async def post(
    world: World, key: str = "k", body: Any = BODY, *, headers: dict[str, str] | None = None, **more: Any
) -> Reply:
    path = more.pop("path", "/v1/predictions")
    return await world.post(path, body, headers={"Idempotency-Key": key, **(headers or {})}, **more)


async def test_the_same_request_gets_the_same_prediction(world: World) -> None:
    first = await post(world)
    assert first.status == 201
    assert "idempotency-replayed" not in first.headers
    world.clock.advance(DAY - 1)
    again = await post(world)
    assert (again.status, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert await ids(world) == [first.json()["id"]]


async def test_after_a_day_the_key_is_free(world: World) -> None:
    first = (await post(world)).json()["id"]
    world.clock.advance(DAY)
    second = await post(world, body={"version": "acme/free"})
    assert second.status == 201
    assert second.json()["id"] != first


async def test_the_life_of_a_key_is_a_setting() -> None:
    world = await World(limits=LimitSettings(idempotency_seconds=10)).fill()
    first = (await post(world)).json()["id"]
    world.clock.advance(9)
    assert (await post(world)).json()["id"] == first
    world.clock.advance(1)
    assert (await post(world)).json()["id"] != first


async def test_a_replay_shows_how_it_is_now(world: World) -> None:
    first = (await post(world)).json()["id"]
    await world.run(first, "done")
    again = (await post(world)).json()
    assert (again["id"], again["status"], again["output"]) == (first, "succeeded", "done")
    assert "repeated_creates" not in again


async def test_a_replay_waits(world: World) -> None:
    first = (await post(world)).json()["id"]
    task = asyncio.ensure_future(post(world, headers={"Prefer": "wait"}))
    await settled()
    assert not task.done()
    await world.run(first, "done")
    reply = await task
    assert (reply.status, reply.json()["output"]) == (201, "done")
    assert reply.headers["preference-applied"] == "wait=55"


async def test_a_replay_whose_wait_runs_out_shows_the_creation(world: World) -> None:
    first = await post(world)
    await world.start(first.json()["id"])
    task = asyncio.ensure_future(post(world, headers={"Prefer": "wait=5"}))
    await settled()
    world.clock.advance(5)
    world.changed(first.json()["id"])
    reply = await task
    assert (reply.status, reply.json()) == (202, first.json())


@pytest.mark.parametrize(
    "same",
    [
        b'{"input": {"seed": 3, "prompt": "hi"}, "version": "acme/echo"}',
        b'{"version":"acme\\/echo","input":{"prompt":"\\u0068i","seed":3}}\n',
    ],
)
async def test_the_same_value_written_otherwise_is_the_same_request(world: World, same: bytes) -> None:
    first = (await post(world)).json()["id"]
    assert (await post(world, body=same)).json()["id"] == first


async def test_how_one_asks_for_the_answer_is_no_part_of_the_request(world: World) -> None:
    first = (await post(world, headers={"X-Request-Id": "one"})).json()["id"]
    await world.run(first)
    headers = {"Prefer": "wait", "User-Agent": "other", "X-Stainless-Retry-Count": "0"}
    assert (await post(world, headers=headers)).json()["id"] == first
    assert (await post(world, path="/replicate/v1/predictions/")).json()["id"] == first


@pytest.mark.parametrize(
    "other",
    [
        {"body": {**BODY, "input": {"prompt": "hi", "seed": 4}}},
        {"body": {**BODY, "input": {"prompt": "hi", "seed": 3.0}}},
        {"body": {**BODY, "stream": True}},
        {"body": {**BODY, "webhook": "https://example.com/x"}},
        {"body": {"version": "acme/free", "input": BODY["input"]}},
        {"path": "/v1/models/acme/echo/predictions"},
        {"headers": {"Cancel-After": "60"}},
    ],
    ids=str,
)
async def test_another_request_under_the_key_is_refused(world: World, other: dict[str, Any]) -> None:
    first = (await post(world)).json()["id"]
    reply = await post(world, **other)
    assert reply.status == 422
    assert reply.json()["title"] == "Idempotency key reused"
    assert first in reply.json()["detail"]
    assert reply.headers["x-should-retry"] == "false"
    assert await ids(world) == [first]


async def test_the_fifth_row_has_its_keys_too(world: World) -> None:
    path = "/v1/models/acme/echo/predictions"
    body = {"input": {"prompt": "hi"}}
    first = (await post(world, path=path, body=body)).json()["id"]
    assert (await post(world, path="/v1/models/acme/ech%6F/predictions", body=body)).json()["id"] == first
    assert (await post(world, path="/v1/models/acme/free/predictions", body=body)).status == 422


async def test_accounts_do_not_share_keys(world: World) -> None:
    first = (await post(world)).json()["id"]
    reply = await post(world, token=world.other_token)
    assert reply.status == 201
    assert reply.json()["id"] != first
    assert "idempotency-replayed" not in reply.headers


async def test_the_keys_of_one_account_share_them(world: World) -> None:
    second, _ = await world.keys.issue("alice", "another", frozenset({"read", "write"}))  # type: ignore[arg-type]
    first = (await post(world)).json()["id"]
    assert (await post(world, token=second)).json()["id"] == first


async def test_many_keys_make_many(world: World) -> None:
    made = [(await post(world, key)).json()["id"] for key in ("a", "b", "A", "b" * 255, '"quoted"', "~!@#$%^&*()")]
    assert len(set(made)) == 6


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a\tb", "x" * 256, "a\x7f"])
async def test_what_is_no_key_is_refused(world: World, key: str) -> None:
    reply = await post(world, key)
    assert reply.status == 400
    assert "Idempotency-Key must be one value of 1 to 255 visible ASCII characters" in reply.json()["detail"]
    assert await ids(world) == []


async def test_two_keys_are_refused(world: World) -> None:
    twice = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b"), (b"host", b"localhost:1986")]
    headers = [*twice, (b"authorization", f"Bearer {world.token}".encode())]
    assert (await world.post("/v1/predictions", BODY, scope_extra={"headers": headers})).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"version": "acme/echo", "input": {}}, 422),
        ({"version": "acme/none", "input": {}}, 422),
        ({"input": {}}, 422),
    ],
)
async def test_a_refused_create_leaves_its_key_free(world: World, body: Any, status: int) -> None:
    for _ in range(2):
        reply = await post(world, body=body)
        assert reply.status == status
        assert "idempotency-replayed" not in reply.headers
    assert (await post(world)).status == 201


async def test_a_create_that_found_no_room_leaves_its_key_free(world: World) -> None:
    create = world.predictions.create

    async def full(*args: object, **more: object) -> None:
        raise QueueFull("too many", retry_after_seconds=2)

    world.predictions.create = full  # type: ignore[method-assign, assignment]
    assert (await post(world)).status == 429
    world.predictions.create = create  # type: ignore[method-assign]
    reply = await post(world)
    assert reply.status == 201
    assert "idempotency-replayed" not in reply.headers


async def test_a_stopping_server_takes_no_key(world: World) -> None:
    world.api.draining = True
    assert (await post(world)).status == 503
    world.api.draining = False
    assert "idempotency-replayed" not in (await post(world)).headers


async def test_a_replay_outlives_its_model(world: World) -> None:
    first = (await post(world)).json()["id"]
    world.catalog.withdraw("acme/echo")
    assert (await post(world)).json()["id"] == first
    assert (await post(world, "fresh")).status == 422


async def test_a_key_works_where_repeats_are_switched_off() -> None:
    world = await World(quirks=QuirkSettings(repeated_creates=False)).fill()
    first = (await post(world)).json()["id"]
    assert (await post(world)).json()["id"] == first


# in flight


async def in_flight(world: World, store: GatedStore) -> tuple["asyncio.Task[Reply]", Connection]:
    connection = Connection()
    task = asyncio.ensure_future(post(world, connection=connection))
    await settled()
    assert not task.done()
    return task, connection


@pytest.mark.parametrize("body", [BODY, {"version": "acme/free"}], ids=["same", "other"])
async def test_a_create_in_flight_is_a_conflict(body: Any) -> None:
    world, store = await gated()
    task, _ = await in_flight(world, store)
    reply = await post(world, body=body)
    assert (reply.status, reply.json()["title"]) == (409, "Create in flight")
    assert reply.headers["x-should-retry"] == "false"
    store.gate.set()
    first = (await task).json()["id"]
    assert (await post(world)).json()["id"] == first
    assert await ids(world) == [first]


async def test_a_create_that_waits_is_in_flight(world: World) -> None:
    task = asyncio.ensure_future(post(world, headers={"Prefer": "wait"}))
    await settled()
    (first,) = await ids(world)
    assert (await post(world)).status == 409
    assert (await post(world, "other")).status == 201
    assert (await post(world, token=world.other_token)).status == 201
    await world.run(first)
    assert (await task).json()["id"] == first
    assert (await post(world)).json()["id"] == first


async def test_a_dropped_create_is_no_more_in_flight() -> None:
    world, store = await gated()
    task, connection = await in_flight(world, store)
    connection.lose()
    again = asyncio.ensure_future(post(world))
    await settled()
    assert not again.done(), "it waits for the commit of the first"
    store.gate.set()
    first = (await task).json()["id"]
    assert (await again).json()["id"] == first
    assert await ids(world) == [first]


async def test_the_last_of_many_tries_holds_the_key(world: World) -> None:
    tasks = []
    for _ in range(3):
        connection = Connection()
        tasks.append(asyncio.ensure_future(post(world, headers={"Prefer": "wait"}, connection=connection)))
        await settled()
        if len(tasks) < 3:
            connection.lose()
            await settled()
    assert [task.done() for task in tasks] == [True, True, False]
    assert (await post(world)).status == 409
    (first,) = await ids(world)
    await world.run(first)
    assert [(await task).status for task in tasks[:2]] == [UNREAD, UNREAD]
    assert (await tasks[2]).json()["id"] == first


async def test_expired_keys_are_swept(world: World) -> None:
    for number in range(3):
        await post(world, f"k{number}")
    assert await world.predictions.forget_idempotency_keys() == 0
    world.clock.advance(DAY)
    assert await world.predictions.forget_idempotency_keys() == 3
    assert await world.predictions.forget_idempotency_keys() == 0


async def test_the_description_names_the_header(world: World) -> None:
    described = json.loads((await world.get("/v1/openapi.json")).body)
    for path in ("/v1/predictions", "/v1/models/{model_owner}/{model_name}/predictions"):
        names = [one["name"] for one in described["paths"][path]["post"]["parameters"]]
        assert "Idempotency-Key" in names
