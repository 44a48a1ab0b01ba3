"""Pages are bounded in bytes, and still show each item exactly once, in both directions."""

from typing import Any

import pytest

from api.test_files import FORM, form, part
from api.world import World, schema
from halley.models.records import Model, Version
from halley.settings import LimitSettings
from halley.webhooks.events import WebhookEvent

pytestmark = pytest.mark.anyio
ROOT = "http://localhost:1986"
LIMIT = 20_000


async def narrow() -> World:
    return await World(limits=LimitSettings(page_bytes=LIMIT)).fill()


async def walked(world: World, path: str, *, limit_bytes: int = LIMIT) -> tuple[list[Any], list[Any]]:
    """The items by following `next` from the first page, then `previous` from the last; newest first both times."""
    there: list[Any] = []
    back: list[Any] = []
    url: str | None = f"{ROOT}{path}"
    last = url
    for _ in range(200):
        if url is None:
            break
        last = url
        page = await shown(world, url, limit_bytes)
        there += page["results"]
        url = page["next"]
    url = last
    for _ in range(200):
        if url is None:
            break
        page = await shown(world, url, limit_bytes)
        back = page["results"] + back
        url = page["previous"]
    return there, back


async def shown(world: World, url: str, limit_bytes: int) -> Any:
    reply = await world.get(url.removeprefix(ROOT))
    assert reply.status == 200, reply.body
    page = reply.json()
    assert page["results"], "a page has at least one item"
    assert len(reply.body) <= limit_bytes + 1000 or len(page["results"]) == 1
    return page


async def test_each_prediction_is_on_one_page() -> None:
    world = await narrow()
    ids = []
    for n, size in enumerate((10, 9_000, 9_000, 30_000, 10, 10, 19_000, 0, 5_000, 5_000, 5_000, 5_000, 10, 25_000)):
        made = (await world.post("/v1/predictions", {"version": "acme/free", "input": {"text": "i" * size}})).json()
        ids.append(made["id"])
        if n % 3 == 0:
            await world.run(made["id"], "o" * (size // 2))
        elif n % 3 == 1:  # what it put out so far is not in its row
            await world.start(made["id"])
            await world.output(made["id"], "o" * size)
    there, back = await walked(world, "/v1/predictions")
    assert [item["id"] for item in there] == ids[::-1]
    assert [item["id"] for item in back] == ids[::-1]
    small, again = await walked(world, "/v1/predictions?limit=2")
    assert [item["id"] for item in small] == [item["id"] for item in again] == ids[::-1]


async def test_logs_count_where_they_are_asked_for() -> None:
    world = await narrow()
    ids = []
    for _ in range(5):
        made = await world.create("acme/free")
        ids.append(made["id"])
        await world.start(made["id"])
        await world.log(made["id"], "l" * 9_000)
        await world.finish(made["id"])
    there, back = await walked(world, "/v1/predictions?include=logs")
    assert [item["id"] for item in there] == [item["id"] for item in back] == ids[::-1]
    assert {len(item["logs"]) for item in there} == {9_000}
    whole = (await world.get("/v1/predictions")).json()
    assert (len(whole["results"]), whole["next"]) == (5, None)


async def test_a_page_of_predictions_has_8_mib_by_default(world: World) -> None:
    for _ in range(5):
        await world.post("/v1/predictions", {"version": "acme/free", "input": {"text": "x" * 3_000_000}})
    there, _ = await walked(world, "/v1/predictions", limit_bytes=8 * 2**20)
    assert len(there) == 5
    first = await world.get("/v1/predictions")
    assert len(first.json()["results"]) == 2
    assert int(first.headers["content-length"]) == len(first.body)
    assert (await world.request("HEAD", "/v1/predictions")).headers["content-length"] == first.headers["content-length"]


async def test_each_model_and_version_is_on_one_page() -> None:
    world = await narrow()
    now = world.clock.now()
    for n in range(7):
        document = schema({f"p{m}": {"type": "string", "description": "d" * 500} for m in range(10)})
        for name in ("many", f"m{n}"):
            world.clock.advance(1)
            version = Version(
                id=f"{ord(name[0]) * 1000 + n:x}{name}".ljust(64, "0")[:64],
                model=f"big/{name}",
                created_at=world.clock.now(),
                openapi_schema=document,
            )
            await world.catalog.register(Model(owner="big", name=name, created_at=now), version)
    models, back = await walked(world, "/v1/models")
    assert len({item["name"] for item in models}) == len(models) == len(world.versions) + 8
    assert models == back
    versions, back = await walked(world, "/v1/models/big/many/versions")
    assert len({item["id"] for item in versions}) == len(versions) == 7
    assert versions == back


async def test_each_file_and_delivery_is_on_one_page() -> None:
    world = await narrow()
    metadata = b'{"note": "%b"}' % (b"n" * 7_000)
    for _ in range(6):
        await world.post("/v1/files", form(part("content", b"x"), part("metadata", metadata)), **FORM)
    files, _ = await walked(world, "/v1/files")
    assert len({item["id"] for item in files}) == len(files) == 6
    made = await world.create("acme/free")
    for _ in range(60):
        await world.delivery(made["id"], WebhookEvent.COMPLETED)
    deliveries, _ = await walked(world, "/v1/webhooks/deliveries")
    assert len({item["id"] for item in deliveries}) == len(deliveries) == 60


async def test_what_a_listener_receives_at_once_is_bounded(world: World) -> None:
    ids = []
    for _ in range(6):
        made = await world.create("acme/free")
        ids.append(made["id"])
        await world.run(made["id"], "o" * 900_000)
    heard: list[str] = []
    position = 0
    for _ in range(20):
        reply = await world.get(f"/v1/webhooks/listen?events=completed&after={position}")
        if not reply.json()["results"]:
            break
        assert len(reply.body) < 4 * 2**20
        heard += [copy["prediction"] for copy in reply.json()["results"]]
        position = reply.json()["position"]
    assert heard == ids
