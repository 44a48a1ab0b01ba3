"""Hints never carry a wait alone: with a bus that loses them all, one poll of the store tells everybody who waits."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.world import Reply, World, settled
from halley.api.waiting.change_poller import ChangePoller

pytestmark = pytest.mark.anyio

CREATE = {"version": "acme/free", "input": {}}
WAIT = {"prefer": "wait=30"}
OFFICIAL = {"user-agent": "replicate-python/1.0.7"}
STREAM = {"accept": "text/event-stream"}


@pytest.fixture
async def lossy(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world in which every hint is lost."""
    monkeypatch.setattr(world.bus, "publish", lambda _: None)
    yield world
    world.api.release_waiting()


async def all_ways(world: World, prediction_id: str) -> dict[str, "asyncio.Future[Reply]"]:
    """Every way to wait for a prediction, each waiting."""
    path = f"/v1/predictions/{prediction_id}"
    shown = (await world.get(path, headers=OFFICIAL)).json()
    etag = (await world.get(path)).headers["etag"]
    asked = {
        "held": world.get(path, headers=WAIT),
        "held with a validator": world.get(path, headers={**WAIT, "if-none-match": etag}),
        "poll": world.get(path, headers=OFFICIAL),
        "stream": world.get(shown["urls"]["stream"].removeprefix("http://localhost:1986"), token=None),
        "events": world.get(f"{path}/events", headers=STREAM),
    }
    ways = {name: asyncio.ensure_future(request) for name, request in asked.items()}
    await settled(60)
    return ways


@pytest.mark.parametrize("is_polled", [True, False], ids=["with a poll", "without a poll"])
async def test_one_poll_answers_all_waiting_requests_and_without_it_none_is_answered(
    lossy: World, *, is_polled: bool
) -> None:
    poller = ChangePoller(log=lossy.store, clock=lossy.clock)
    if is_polled:
        poller.tell(lossy.api.look, is_wanted=lambda: lossy.api.has_waiting)
    await poller.open()
    created = asyncio.ensure_future(lossy.post("/v1/predictions", CREATE, headers=WAIT))
    await settled()
    made = (await lossy.store.page((await lossy.keys.verify(lossy.token)).account.id, limit=1)).items[0]
    ways = {"create": created, **await all_ways(lossy, made.id)}
    await lossy.run(made.id)
    await settled(60)
    assert not any(way.done() for way in ways.values()), "nobody has been told"
    await poller.look()
    await settled(60)
    assert {name: way.done() for name, way in ways.items()} == dict.fromkeys(ways, is_polled)
    if is_polled:
        assert (await created).status == 201
        assert len(lossy.hub) == 0
