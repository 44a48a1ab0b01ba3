"""A picture gives back the input that made it."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from api.world import Reply, World
from halley.assets.embedding import InputNote, embed
from pictures import png
from web.browser import Browser

pytestmark = pytest.mark.anyio


def carrying(value: Any, model: str = "acme/free", prediction: str = "") -> bytes:
    note = InputNote(model=model, prediction=prediction, input=msgspec.Raw(msgspec.json.encode(value)))
    return embed(png(), "image/png", note)


async def dropped(browser: Browser, data: bytes, model: str = "acme/echo") -> Reply:
    fields = {"model": model}
    return await browser.upload("/ui/restore", "a.png", data, "image/png", part="picture", fields=fields)


async def test_a_downloaded_picture_fills_the_form_of_its_model(world: World, browser: Browser) -> None:
    sent = {"prompt": "ein See & <b> 🌊", "list": [1, {"__proto__": None}]}
    made = (await world.post("/v1/predictions", {"version": "acme/free", "input": sent})).json()["id"]
    await world.start(made)
    file = await world.keep(made, 0, "a.png", png(), "image/png")
    await world.output(made, [file.ref], files=(file,))
    await world.finish(made)
    picture = (await browser.get(f"/ui/predictions/{made}/with-input/0")).body
    reply = await dropped(browser, picture)
    assert reply.status == 303
    there = urlsplit(reply.headers["location"])
    assert there.path == "/ui/models/acme/free"
    assert msgspec.json.decode(parse_qs(there.query)["input"][0]) == sent
    page = (await browser.get(reply.headers["location"])).body.decode()
    assert "The input of the picture." in page
    assert "<b>" not in page.partition('<form class="card play"')[2].partition("</form>")[0]


async def test_a_model_that_is_not_here_gives_its_input_to_the_form(world: World, browser: Browser) -> None:
    for name in ("else/where", "../keys", "x", "a/b/c", "a/b?c", ""):
        reply = await dropped(browser, carrying({"prompt": "x"}, name))
        assert urlsplit(reply.headers["location"]).path == "/ui/models/acme/echo"
        assert "input=" in reply.headers["location"]
    reply = await dropped(browser, carrying({"prompt": "x"}, "else/where"), model="//evil.example")
    assert reply.status == 200
    assert b"Its model is not on this server" in reply.body


async def test_a_long_input_comes_from_the_prediction_or_as_text(world: World, browser: Browser) -> None:
    long = {"prompt": "</pre><script>" + "x" * 50_000}
    made = (await world.post("/v1/predictions", {"version": "acme/free", "input": long})).json()["id"]
    reply = await dropped(browser, carrying(long, prediction=made))
    assert reply.headers["location"] == f"/ui/models/acme/free?prediction={made}"
    foreign = (
        await world.post("/v1/predictions", {"version": "acme/free", "input": {}}, token=world.other_token)
    ).json()
    shown = await dropped(browser, carrying(long, prediction=foreign["id"]))
    assert shown.status == 200
    assert b"x" * 50_000 in shown.body
    assert b"</pre><script>" not in shown.body


@pytest.mark.parametrize("data", [b"", b"GIF89a", png(), b"\x89PNG\r\n\x1a\n" + b"\xff" * 1000, b"RIFF\0\0\0\0WEBP"])
async def test_other_files_lead_back_with_a_reason(world: World, browser: Browser, data: bytes) -> None:
    reply = await dropped(browser, data)
    assert (reply.status, reply.headers["location"]) == (303, "/ui/models/acme/echo")
    assert "carries no input" in unquote(browser.cookies["halley_note"])


async def test_it_is_a_guarded_form_with_a_limit(world: World, browser: Browser) -> None:
    other = Browser(world)
    assert (await dropped(other, carrying({}))).status == 303  # to the sign-in
    assert (await dropped(browser, b"x" * (33 * 2**20))).status == 413
    page = (await browser.get("/ui/models/acme/free")).body.decode()
    assert 'action="/ui/restore"' in page
