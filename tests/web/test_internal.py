"""A page asks the API as its reader: the same routes, scopes, refusals, waits and streams."""

import asyncio
from typing import Any

import pytest

from api.world import World, settled
from halley.api.http.asgi import Call
from halley.api.waiting.hold import GONE_KEY
from halley.keys.records import Scope
from halley.keys.service import Identity
from halley.predictions.filters import PredictionFilter
from halley.predictions.search import FoundPredictions, SearchPart

pytestmark = pytest.mark.anyio


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def call_of(world: World, host: str = "localhost:1986") -> Call:
    headers = {b"host": host.encode(), b"authorization": b"Bearer of-someone-else", b"x-request-id": b"page-1"}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/ui",
        "scheme": "http",
        "server": ("127.0.0.1", 1986),
        "client": ("127.0.0.1", 5000),
        "headers": list(headers.items()),
    }
    call = Call(scope, nothing, "page-1", headers, 0.0)
    call.variant = world.api.variants.of_scope(scope, headers, "")
    return call


async def alice(world: World, *scopes: Scope) -> Identity:
    token, _ = await world.keys.issue("alice", "page", frozenset(scopes or (Scope.READ, Scope.WRITE)))
    return await world.keys.verify(token)


async def test_an_answer_is_that_of_the_reader_with_links_of_the_page(world: World) -> None:
    made = await world.create()
    answer = await world.dashboard.api.ask(call_of(world), await alice(world), "GET", f"/v1/predictions/{made['id']}")
    direct = await world.get(f"/v1/predictions/{made['id']}")
    assert answer.json() == direct.json()
    stranger = await world.keys.verify(world.other_token)
    missing = await world.dashboard.api.ask(call_of(world), stranger, "GET", f"/v1/predictions/{made['id']}")
    assert (missing.status, missing.json()["instance"]) == (404, "urn:request:page-1")


async def test_scopes_count(world: World) -> None:
    reader = await alice(world, Scope.READ)
    body = {"version": "acme/free", "input": {}}
    refused = await world.dashboard.api.ask(call_of(world), reader, "POST", "/v1/predictions", body=body)
    assert (refused.status, refused.is_ok) == (403, False)
    made = await world.dashboard.api.ask(call_of(world), await alice(world), "POST", "/v1/predictions", body=body)
    assert made.status == 201
    assert made.header(b"location").endswith(made.json()["id"])


async def test_a_read_is_told_that_the_reader_of_the_page_has_left(world: World) -> None:
    seen: list[bool] = []
    search = world.store.search

    async def noted(account_id: str, wanted: PredictionFilter, part: SearchPart, **more: Any) -> FoundPredictions:
        seen.append(part.is_over())
        return await search(account_id, wanted, part, **more)

    world.store.search = noted  # type: ignore[method-assign]
    api, call, reader = world.dashboard.api, call_of(world), await alice(world)
    query = {"status": "failed"}
    await api.ask_shared(call, reader, "/v1/predictions", query=query)
    call.scope[GONE_KEY] = True
    await api.ask(call, reader, "GET", "/v1/predictions", query=query)
    await api.ask_shared(call, reader, "/v1/predictions", query=query)
    assert seen == [False, True, True]
    live = await api.follow(call_of(world), reader, "predictions")
    assert live.chunks is not None
    await anext(live.chunks)
    await api.ask_shared(call, reader, "/v1/predictions", query=query)
    assert seen[3:] == [False]  # others may wait for the same answer
    await live.chunks.aclose()


async def test_it_waits_for_a_deferred_answer_and_passes_streams_on(world: World) -> None:
    reader = await alice(world)
    body = {"version": "acme/free", "input": {}}
    asked = asyncio.ensure_future(
        world.dashboard.api.ask(
            call_of(world), reader, "POST", "/v1/predictions", body=body, headers=[(b"prefer", b"wait")]
        )
    )
    await settled()
    assert not asked.done()
    page = (await world.get("/v1/predictions")).json()["results"][0]
    await world.run(page["id"], "done")
    assert (await asked).json()["output"] == "done"
    path = f"/v1/predictions/{page['id']}/events"
    stream = await world.dashboard.api.ask(
        call_of(world), reader, "GET", path, headers=[(b"accept", b"text/event-stream")]
    )
    assert stream.chunks is not None
    assert b'"status":"succeeded"' in b"".join([piece async for piece in stream.chunks])
