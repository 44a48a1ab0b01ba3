"""Behind a proxy that serves us under a path: links, pages, inputs; and paths with several slashes in a row."""

from pathlib import Path
from typing import Any

import pytest

from api.test_files import FORM, form, painted, part
from api.test_server import connected, finished, get, reads, running
from api.world import World, schema
from halley.settings import ServerSettings, read_settings

pytestmark = pytest.mark.anyio
FRONT = "https://front.example/apps/halley"
FILE_INPUT = schema({"image": {"type": "string", "format": "uri"}})


async def behind(**server: Any) -> World:
    return await World(server=ServerSettings(**({"public_url": f"{FRONT}/"} | server))).fill()


def below(url: str) -> str:
    """The path as a proxy hands it on that takes its own off."""
    assert url.startswith(f"{FRONT}/"), url
    return url.removeprefix(FRONT)


@pytest.mark.parametrize("keeps_path", [False, True], ids=["taken off", "left on"])
@pytest.mark.parametrize("family", ["", "/replicate"])
async def test_every_link_leads_back_through_the_proxy(family: str, *, keeps_path: bool) -> None:
    world = await behind()
    on = "/apps/halley" if keeps_path else ""

    async def follow(url: str, **more: Any) -> Any:
        assert url.startswith((f"{FRONT}{family}/v1/", f"{FRONT}/d/", f"{FRONT}/p/")), url
        reply = await world.get(on + below(url), **more)
        assert reply.status == 200, (url, reply.body)
        return reply

    made = await world.post(f"{on}{family}/v1/predictions", {"version": "acme/free"})
    urls = made.json()["urls"]
    assert made.headers["location"] == urls["get"]
    await follow(urls["get"])
    await follow(urls["web"], token=None)
    canceled = await world.post(on + below(urls["cancel"]))
    assert canceled.json()["status"] == "canceled"
    await follow(urls["stream"], token=None)
    painting = await painted(world)
    shown = (await world.get(f"{on}{family}/v1/predictions/{painting}")).json()
    assert (await follow(shown["output"], token=None)).body.startswith(b"\x89PNG")
    page = (await follow(shown["urls"]["web"], token=None)).body.decode()
    assert 'src="/apps/halley/d/' in page
    first = (await world.get(f"{on}{family}/v1/predictions?limit=1")).json()
    second = (await follow(first["next"])).json()
    assert (await follow(second["previous"])).json()["results"] == first["results"]
    upload = (await world.post(f"{on}{family}/v1/files", form(part("content", b"abc")), **FORM)).json()
    await follow(upload["urls"]["get"])
    assert (await follow(upload["urls"]["download"], token=None)).body == b"abc"
    model = (await world.get(f"{on}{family}/v1/models/acme/echo")).json()
    await follow(model["url"])
    document = (await world.get(f"{on}{family}/v1/openapi.json", token=None)).json()
    assert document["servers"] == [{"url": "/apps/halley"}]


async def test_links_with_a_path_are_known_as_our_own(tmp_path: Path) -> None:
    world = await behind()
    painting = await painted(world)
    output = (await world.get(f"/v1/predictions/{painting}")).json()["output"]
    upload = (await world.post("/v1/files", form(part("content", b"abc", file="a.txt")), **FORM)).json()
    account = (await world.keys.verify(world.token)).account.id
    for number, link in enumerate((output, upload["urls"]["get"], upload["urls"]["get"].replace("/v1/", "//v1//"))):
        staged = await world.stager.stage(
            prediction_id="p" * 26,
            version="v",
            openapi_schema=FILE_INPUT,
            account_id=account,
            work_input=b'{"image": "%b"}' % link.encode(),
            folder=tmp_path / str(number),
        )
        assert staged.paths == (("image",),)
        (file,) = (tmp_path / str(number) / "inputs").iterdir()
        assert file.read_bytes()[:4] in (b"\x89PNG", b"abc")


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/apps/halley", "/apps/halley"),
        ("/apps/halley/", "/apps/halley"),
        ("/a, /b", "/b"),
        ("", ""),
        ("apps", ""),
        ("//evil.example", ""),
        ('/"><script>', ""),
        ("/a/../b?x", ""),
        ("/" + "a" * 30_000, ""),
    ],
)
async def test_a_trusted_proxy_may_tell_its_path(prefix: str, path: str) -> None:
    for trusted in ((), ("127.0.0.1",)):
        world = await behind(public_url=None, trusted_proxies=trusted)
        headers = {"x-forwarded-host": "front.example", "x-forwarded-proto": "https", "x-forwarded-prefix": prefix}
        made = await world.post("/v1/predictions", {"version": "acme/free"}, headers=headers)
        origin = f"https://front.example{path}" if trusted else "http://localhost:1986"
        assert made.json()["urls"]["get"].startswith(f"{origin}/v1/predictions/")


@pytest.mark.parametrize("path", ["//v1/account", "/v1//account", "/v1/account//", "///replicate//v1///account/"])
async def test_slashes_in_a_row_are_one(world: World, path: str) -> None:
    assert (await world.get(path)).json()["username"] == "alice"


async def test_slashes_in_a_row_are_one_in_links(world: World) -> None:
    link = (await world.get(f"/v1/predictions/{await painted(world)}")).json()["output"].partition("1986")[2]
    assert (await world.get(link.replace("/", "//"), token=None)).status == 200


async def test_the_short_cut_knows_the_path() -> None:
    world = await World(server=ServerSettings(port=0, public_url=FRONT)).fill()
    prediction_id = await finished(world)
    async with running(world) as server, connected(server) as wire:
        answers = []
        for path in ("/v1/predictions/", "/apps/halley/v1/predictions/", "/v1/predictions/"):
            await wire.send(get(f"{path}{prediction_id}", world.token))
            answers.append((await wire.answer())[1])
            before = reads(world)
        await wire.send(get(f"/apps/halley/v1/predictions/{prediction_id}", world.token))
        answers.append((await wire.answer())[1])
    assert len(set(answers)) == 1
    assert reads(world) == before


async def test_a_message_has_links_with_the_path() -> None:
    world = await behind(public_url="https://front.example/replicate")
    for base, family in (("", ""), ("/replicate", "/replicate")):
        variant = world.api.variants.of_base(f"https://front.example/replicate{base}")
        assert variant.base == f"https://front.example/replicate{family}/v1"


@pytest.mark.parametrize("url", ["https://h.example/halley", "https://h.example/a/b/", "http://h.example:8080/x~y"])
def test_a_path_in_the_public_url_is_fit(url: str, tmp_path: Path) -> None:
    settings = read_settings(
        {}, config=None, flags={"server.public_url": url}, folder=tmp_path, user_file=tmp_path / "x"
    )
    assert settings.server.public_url == url
