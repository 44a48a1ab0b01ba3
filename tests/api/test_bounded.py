"""Work and memory for one request have a bound, whatever its body holds. Source: design sections 7 and 12."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.world import World, schema, settled
from halley.api.http.asgi import Outcome, Response
from halley.models.records import Model, Version
from halley.settings import LimitSettings

LIST = {"items": {"type": "array", "items": {"type": "string"}}}
MIB = 2**20


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await filled(World())
    waiters = asyncio.ensure_future(world.hub.run())
    yield world
    waiters.cancel()
    await asyncio.wait([waiters])


async def filled(world: World) -> World:
    await world.fill()
    now = world.clock.now()
    version = Version(id="f" * 64, model="acme/list", created_at=now, openapi_schema=schema(LIST))
    await world.catalog.register(Model(owner="acme", name="list", created_at=now), version)
    return world


def upload(*fields: tuple[str, bytes]) -> dict[str, Any]:
    parts = [("content", b"x"), *fields]
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in parts
    )
    return {"body": body + b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


@pytest.mark.anyio
async def test_a_string_of_escapes_without_an_end_is_refused_at_once(world: World) -> None:
    began = time.process_time()
    for opening in (b'{"input": "', b'{"version":"acme/free","input":{"a":"'):
        reply = await world.post("/v1/predictions", opening + b'\\"' * 20_000)
        assert (reply.status, reply.json()["title"]) == (400, "Bad request")
    reply = await world.post("/v1/files", **upload(("metadata", b'{"a": "' + b'\\"' * 20_000)))
    assert reply.status == 422
    assert time.process_time() - began < 4  # it takes milliseconds; a search that begins anew at each quote, minutes


@pytest.mark.anyio
async def test_faults_are_listed_up_to_a_hundred_and_counted(world: World) -> None:
    body = b'{"version":"acme/list","input":{"items":[' + b"1," * 20_000 + b'"fits",1]}}'
    reply = await world.post("/v1/predictions", body)
    assert reply.status == 422
    faults = reply.json()["invalid_fields"]
    assert len(faults) == 101
    assert [fault["field"] for fault in faults[:3]] == ["input.items.0", "input.items.1", "input.items.2"]
    assert faults[100]["type"] == "more"
    assert "19901 more faults" in faults[100]["description"]
    assert "limits.listed_faults" in faults[100]["description"]
    assert len(reply.body) < 40_000


@pytest.mark.anyio
async def test_a_fault_quotes_little_of_a_large_value(world: World) -> None:
    for value in ({"items": "x" * MIB}, {"items": [{"n" * MIB: 1}]}, {"items": [["x" * MIB]]}):
        reply = await world.post("/v1/predictions", {"version": "acme/list", "input": value})
        assert reply.status == 422
        assert len(reply.body) < 2000


@pytest.mark.anyio
async def test_the_values_of_a_body_are_counted_before_it_is_decoded() -> None:
    world = await filled(World(limits=LimitSettings(json_values=1000)))
    for value, status in [
        (b"[" + b",".join([b"1"] * 995) + b"]", 201),
        (b"[" + b",".join([b"1"] * 1000) + b"]", 413),
        (b"[" + b",".join([b"[ ]"] * 995) + b"]", 201),
        (b"[" + b",".join([b"{}"] * 1000) + b"]", 413),
        (b'"' + b"[,{" * 1000 + b'"', 201),
        (b"{" + b",".join(b'"%d":1' % number for number in range(1000)) + b"}", 413),
    ]:
        reply = await world.post("/v1/predictions", b'{"version":"acme/free","input":{"a":' + value + b"}}")
        assert reply.status == status, value[:20]
        assert status == 201 or "limits.json_values" in reply.json()["detail"]


class Slow:
    """A body of which half has come, and the rest comes when it is told to."""

    def __init__(self, world: World, token: str, size: int) -> None:
        self.world, self.token, self.body = world, token, b'{"version":"acme/free","input":{}' + b" " * size + b"}"
        self.rest = asyncio.Event()
        self.is_lost = False
        self._first = True

    async def receive(self) -> dict[str, Any]:
        half = len(self.body) // 2
        if self._first:
            self._first = False
            return {"type": "http.request", "body": self.body[:half], "more_body": True}
        await self.rest.wait()
        if self.is_lost:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.body[half:], "more_body": False}

    async def answer(self) -> int:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/predictions",
            "query_string": b"",
            "headers": [(b"host", b"localhost:1986"), (b"authorization", f"Bearer {self.token}".encode())],
            "scheme": "http",
            "server": ("127.0.0.1", 1986),
            "client": ("127.0.0.1", 50000),
        }
        _, answer = await self.world.api.begin(scope, self.receive)
        if answer.later is None:
            return answer.status
        given: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        answer.later.park(given.set_result)
        outcome = await given
        assert isinstance(outcome, Response)
        return outcome.status


@pytest.mark.anyio
async def test_bodies_on_their_way_are_bounded_for_a_key_and_in_all() -> None:
    world = await filled(World(limits=LimitSettings(bodies_bytes=3 * MIB, bodies_per_key_bytes=2 * MIB)))
    world.third_token, _ = await world.keys.issue("carol", "", ["write"])  # type: ignore[attr-defined]
    own = [Slow(world, world.token, int(1.7 * MIB)) for _ in range(2)]
    others = [Slow(world, world.other_token, int(1.7 * MIB)) for _ in range(1)]
    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(slow.answer()) for slow in (*own, *others)]
        await asyncio.sleep(0.01)
        assert world.api.parts.bodies.held_bytes > 2.5 * MIB
        filling = {"version": "acme/free", "input": {"a": "x" * (MIB // 2)}}
        per_key = await world.post("/v1/predictions", filling)
        assert (per_key.status, "limits.bodies_per_key_bytes" in per_key.json()["detail"]) == (429, True)
        in_all = await world.post("/v1/predictions", filling, token=world.third_token)  # type: ignore[attr-defined]
        assert (in_all.status, "limits.bodies_bytes" in in_all.json()["detail"]) == (503, True)
        assert in_all.headers["retry-after"]
        assert (await world.post("/v1/predictions", filling, token="wrong")).status == 401
        own[0].is_lost = True
        own[0].rest.set()
        await answers[0]
        own[1].rest.set()
        assert await answers[1] == 201
        others[0].rest.set()
        assert await answers[2] == 201
    assert world.api.parts.bodies.held_bytes == 0
    assert (await world.post("/v1/predictions", filling)).status == 201


@pytest.mark.anyio
async def test_metadata_of_a_form_is_as_deep_as_json_may_be(world: World) -> None:
    deep = upload(("metadata" + "[a]" * 65, b"x"))
    reply = await world.post("/v1/files", **deep)
    assert (reply.status, "limits.json_depth" in reply.json()["detail"]) == (422, True)
    reply = await world.post("/v1/files", **upload(("metadata" + "[a]" * 64, b"x")))
    assert reply.status == 201
    assert (await world.get("/v1/files")).status == 200


@pytest.mark.anyio
async def test_a_large_input_is_not_kept_in_memory_while_a_client_waits_and_is_in_the_answer(world: World) -> None:
    given = {"version": "acme/free", "input": {"a": "x" * 200_000}}
    asked = asyncio.ensure_future(world.post("/v1/predictions", given, headers={"Prefer": "wait=5"}))
    await settled()
    world.hub.release_all()
    reply = await asked
    assert reply.status == 202
    assert reply.json()["input"] == given["input"]
    assert reply.json()["status"] == "starting"
    assert world.api.parts.bodies.held_bytes == 0
