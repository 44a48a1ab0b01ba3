"""Collections and search, and operations of the contract that are not served. Source: contract sections 1 and 10."""

from pathlib import Path
from typing import Any

import pytest

from api.world import World
from halley import settings
from halley.models.records import Model
from halley.settings import LimitSettings, SettingsError, read_settings

pytestmark = pytest.mark.anyio
EMPTY = {"next": None, "previous": None, "results": []}


async def test_without_configuration_there_are_no_collections() -> None:
    world = await World(collections={}).fill()
    reply = await world.get("/v1/collections")
    assert (reply.status, reply.json()) == (200, EMPTY)
    assert (await world.get("/v1/collections", token="nonsense")).status == 401
    absent = await world.get("/v1/collections/text-to-image")
    assert (absent.status, absent.json()["title"]) == (404, "Not found")
    assert "text-to-image" in absent.json()["detail"]


async def test_collections_show_their_models() -> None:
    paint = settings.CollectionSettings(
        name="Painting", description="Pictures", full_description="# Long", models=("acme/paint", "x/y")
    )
    world = await World(collections={"painting": paint, "bare": settings.CollectionSettings()}).fill()
    listed = (await world.get("/v1/collections")).json()["results"]
    shown = {"name": "Painting", "slug": "painting", "description": "Pictures", "full_description": "# Long"}
    assert listed == [shown, {"name": "bare", "slug": "bare", "description": "", "full_description": None}]
    whole = (await world.get("/replicate/v1/collections/painting")).json()
    assert [model["name"] for model in whole.pop("models")] == ["paint"]
    assert whole == shown


@pytest.mark.parametrize(
    "sent",
    [
        {"body": b"echo", "headers": {"content-type": "text/plain"}},
        {"body": b'"echo"', "headers": {"content-type": "text/plain"}},
        {"body": b'"echo"', "headers": {"content-type": "application/json"}},
        {"body": b"ECHO acme"},
    ],
    ids=["py1", "js", "py2", "words"],
)
async def test_models_are_found_by_the_query_of_each_client(world: World, sent: dict[str, Any]) -> None:
    reply = await world.request("QUERY", "/v1/models", **sent)
    assert reply.status == 200
    page = reply.json()
    assert (page["next"], page["previous"]) == (None, None)
    assert page["results"][0] == (await world.get("/v1/models/acme/echo")).json()


async def test_odd_queries_are_answered(world: World) -> None:
    assert len((await world.request("QUERY", "/v1/models")).json()["results"]) == len(world.versions)
    assert (await world.request("QUERY", "/v1/models", body=b"nothing-like-this")).json() == EMPTY
    assert (await world.request("QUERY", "/v1/models", body=b"\xff")).status == 400
    assert (await world.request("QUERY", "/v1/models", body=b"x" * 10_000)).status == 413


async def test_search_finds_models_and_collections(world: World) -> None:
    now = world.clock.now()
    world.catalog.report_fault(Model(owner="lab", name="cat", description="Draws an echo.", created_at=now), "broken")
    reply = await world.get("/v1/search?query=echo")
    assert reply.status == 200
    found = reply.json()
    assert found["query"] == "echo"
    assert [hit["model"]["name"] for hit in found["models"]] == ["echo", "cat"]
    assert found["models"][0]["metadata"] == {"generated_description": "", "score": 1.0, "tags": []}
    assert (found["collections"], found["pages"]) == ([], [])
    picks = (await world.get("/v1/search?query=picks&limit=999")).json()
    assert [one["slug"] for one in picks["collections"]] == ["picks"]
    assert len((await world.get("/v1/search?query=acme&limit=2")).json()["models"]) == 2
    assert (await world.get("/v1/search")).json()["invalid_fields"][0]["field"] == "query"


async def test_what_is_found_is_bounded_in_bytes() -> None:
    names = ("acme/echo", "acme/free", "acme/paint")
    world = await World(
        limits=LimitSettings(page_bytes=1), collections={"all": settings.CollectionSettings(models=names)}
    ).fill()
    assert len((await world.get("/v1/collections/all")).json()["models"]) == 1
    assert len((await world.get("/v1/search?query=acme")).json()["models"]) == 1
    assert len((await world.request("QUERY", "/v1/models")).json()["results"]) == 1


@pytest.mark.parametrize("path", ["/v1/trainings", "/v1/deployments", "/v1/models/acme/echo/examples"])
async def test_lists_of_what_there_is_not_are_empty(world: World, path: str) -> None:
    reply = await world.get(path)
    assert (reply.status, reply.json()) == (200, EMPTY)


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("POST", "/models", 405, "folders"),
        ("PATCH", "/models/acme/echo", 405, "folders"),
        ("DELETE", "/models/acme/echo", 405, "folders"),
        ("GET", "/models/acme/echo/readme", 404, "readme"),
        ("HEAD", "/models/acme/echo/readme", 404, ""),
        ("DELETE", "/models/acme/echo/versions/v", 405, "folders"),
        ("POST", "/models/acme/echo/versions/v/trainings", 404, "trainings"),
        ("GET", "/trainings/t", 404, "trainings"),
        ("POST", "/trainings/t/cancel", 404, "trainings"),
        ("POST", "/deployments", 405, "deployments"),
        ("GET", "/deployments/acme/d", 404, "deployments"),
        ("PATCH", "/deployments/acme/d", 404, "deployments"),
        ("DELETE", "/deployments/acme/d", 404, "deployments"),
        ("POST", "/deployments/acme/d/predictions", 404, "deployments"),
    ],
)
async def test_what_is_not_served_says_so(world: World, method: str, path: str, status: int, word: str) -> None:
    assert (await world.request(method, f"/v1{path}", token=None)).status == 401
    reply = await world.request(method, f"/v1{path}")
    assert (reply.status, word in reply.body.decode()) == (status, True)
    assert b"nothing at this path" not in reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-should-retry"] == "false"
    assert (status == 405) == ("allow" in reply.headers)


def configured(place: Path, text: str) -> Any:
    (place / "halley.toml").write_text(text)
    return read_settings({}, config=None, flags={}, folder=place, user_file=place / "none")


def test_collections_come_from_the_configuration(tmp_path: Path) -> None:
    text = '[collections.text-to-image]\nname = "Pictures"\nmodels = ["acme/paint"]\n'
    found = configured(tmp_path, text).collections
    assert found == {"text-to-image": settings.CollectionSettings(name="Pictures", models=("acme/paint",))}
    for wrong in ("[collections.Bad]\nname = 'x'\n", "[collections.a]\nmodel = 'x'\n", "collections = 1\n"):
        with pytest.raises(SettingsError, match="collections"):
            configured(tmp_path, wrong)
