"""Grid runs, the same input to several models, and the gallery."""

import json
import re
from urllib.parse import unquote

import pytest

from api.world import World, schema
from pictures import png
from web.browser import Browser
from web.test_playground import add

pytestmark = pytest.mark.anyio

FORM = {"model": "acme/free", "input": '{"keep": true}', "x": "", "x_values": "", "y": "", "y_values": ""}


async def test_one_run_is_made_for_each_combination(world: World, browser: Browser) -> None:
    values = {**FORM, "model": "acme/echo", "input": "", "x": "prompt", "x_values": "a lake\n5\na lake"}
    page = (await browser.post("/ui/grid", {**values, "do": "preview"})).body.decode()
    assert "2 predictions" in page
    assert "Run 2" in page
    tag = re.search(r'name="grid" value="(grid-[0-9a-f]{16})"', page)
    assert tag is not None
    reply = await browser.post("/ui/grid", {**values, "do": "run", "grid": tag[1]})
    assert (reply.status, reply.headers["location"]) == (303, f"/ui/grid/{tag[1]}?x=input.prompt")
    again = await browser.post("/ui/grid", {**values, "do": "run", "grid": tag[1]})
    assert again.status == 303
    made = (await world.get("/v1/predictions")).json()["results"]
    assert [one["input"] for one in made] == [{"prompt": "5"}, {"prompt": "a lake"}]
    await world.run(made[0]["id"], "<b>five</b>")
    shown = (await browser.get(reply.headers["location"])).body.decode()
    assert "1 of 2 ended" in shown
    assert "&lt;b&gt;five&lt;/b&gt;" in shown
    assert shown.index("a lake") < shown.index("five")
    by_itself = (await browser.get(f"/ui/grid/{tag[1]}.json")).json()
    assert (by_itself["x"], by_itself["y"]) == ("input.prompt", "")
    assert f'href="/ui/grid/{tag[1]}"' in (await browser.get(f"/ui/predictions/{made[0]['id']}")).body.decode()
    other = await Browser(world).signed_in(world.other_token)
    assert (await other.get(reply.headers["location"])).status == 404


async def test_the_same_input_goes_to_several_models(world: World, browser: Browser) -> None:
    page = await browser.get("/ui/grid?model=acme/echo&model=acme/free")
    assert page.body.decode().count(" checked>") == 2
    fields = [("model", "acme/echo"), ("model", "acme/free"), ("input", '{"prompt": "x"}'), ("do", "run")]
    reply = await browser.post("/ui/grid", fields)
    assert reply.headers["location"].endswith("?y=model")
    made = (await world.get("/v1/predictions")).json()["results"]
    assert {one["model"] for one in made} == {"acme/echo", "acme/free"}
    shown = (await browser.get(reply.headers["location"])).body.decode()
    assert "0 of 2 ended" in shown


@pytest.mark.parametrize(("changed", "fault"), [
    ({"model": ""}, "choose a model"),
    ({"input": "[1]"}, "must be a JSON object"),
    ({"x": "n", "x_values": ""}, "write the values"),
    ({"x": "n", "x_values": "\n".join(map(str, range(65)))}, "65 runs are more than 64"),
    ({"x": "n", "x_values": "1", "y": "n", "y_values": "2"}, "is varied already"),
])  # fmt: skip
async def test_faults_are_shown_and_nothing_is_made(
    world: World, browser: Browser, changed: dict[str, str], fault: str
) -> None:
    reply = await browser.post("/ui/grid", {**FORM, **changed, "do": "run"})
    assert reply.status == 422
    assert fault in reply.body.decode()
    assert (await world.get("/v1/predictions")).json()["results"] == []


async def test_a_refused_input_is_told_and_nothing_is_lost(world: World, browser: Browser) -> None:
    values = {**FORM, "model": "acme/echo", "input": '{"prompt": 5}', "do": "run"}
    reply = await browser.post("/ui/grid", values)
    assert reply.status == 422
    page = reply.body.decode()
    assert "input.prompt" in page
    assert "&#34;prompt&#34;: 5" in page


async def test_a_run_that_is_refused_keeps_no_other_back(world: World, browser: Browser) -> None:
    """A model is unknown: the runs of the others are made, and the page says which are missing, and why."""
    fields = [("model", one) for one in ("acme/echo", "nobody/knows", "acme/free")]
    fields += [("input", '{"keep": true}'), ("x", "prompt"), ("x_values", "a\nb"), ("do", "run")]
    reply = await browser.post("/ui/grid", fields)
    made = (await world.get("/v1/predictions")).json()["results"]
    runs = sorted((one["model"], one["input"]["prompt"]) for one in made)
    assert runs == [("acme/echo", "a"), ("acme/echo", "b"), ("acme/free", "a"), ("acme/free", "b")]
    shown = (await browser.get(reply.headers["location"])).body.decode()
    assert "4 of 6 predictions created; 2 refused, 0 not tried. Refused: prompt a, nobody/knows (" in shown


@pytest.mark.parametrize("word", ["ABCDEFGH", "日本語の長い文章"])
async def test_a_long_note_keeps_its_counts_and_shows_its_cut(world: World, browser: Browser, word: str) -> None:
    rule = {"type": "string", "maxLength": 20}
    await add(world, "acme/short", json.loads(schema({"prompt": rule, "style": rule})))
    values = ["x", *(word * 12 + str(number) for number in range(9))]
    fields = {**FORM, "model": "acme/short", "input": "", "x": "prompt", "x_values": "\n".join(values), "do": "run"}
    note = await note_of(browser, {**fields, "y": "style", "y_values": f"y\n{word * 12}"})
    assert note.startswith("1 of 20 predictions created; 19 refused, 0 not tried. Refused: prompt x, style ")
    assert note.endswith(("; and 16 more.", "…"))


async def note_of(browser: Browser, fields: dict[str, str]) -> str:
    reply = await browser.post("/ui/grid", fields)
    return unquote(reply.headers["set-cookie"].partition("halley_note=")[2].partition(";")[0])


async def test_a_refused_secret_is_in_no_cookie_and_on_no_page(world: World, browser: Browser) -> None:
    secret = {"type": "string", "format": "password", "x-cog-secret": True, "minLength": 5}
    await add(world, "acme/hidden", json.loads(schema({"token": secret})))
    fields = {**FORM, "model": "acme/hidden", "input": "", "x": "token", "x_values": "hunter2\nabc", "do": "run"}
    reply = await browser.post("/ui/grid", fields)
    note = unquote(reply.headers["set-cookie"])
    assert "token … (input.token: breaks the rule" in note
    assert "abc" not in note
    shown = (await browser.get(reply.headers["location"])).body.decode()
    assert "token … (" in shown
    assert "token abc" not in shown


async def test_the_form_takes_the_input_of_a_prediction(world: World, browser: Browser) -> None:
    made = await world.create("acme/free")
    page = (await browser.get(f"/ui/grid?from={made['id']}")).body.decode()
    assert "&#34;prompt&#34;: &#34;hi&#34;" in page
    assert 'value="acme/free" checked' in page
    for odd in ("grid-x", "nothing", f"grid-{'0' * 16}", "%2e%2e"):
        assert (await browser.get(f"/ui/grid/{odd}")).status == 404


async def test_the_gallery_shows_pictures_of_one_account(world: World, browser: Browser) -> None:
    made = await world.create("acme/free")
    await world.start(made["id"])
    file = await world.keep(made["id"], 0, "a.png", png(), "image/png")
    await world.output(made["id"], [file.ref], files=(file,))
    await world.finish(made["id"])
    await world.run((await world.create("acme/echo"))["id"], "no picture")
    page = (await browser.get("/ui/gallery")).body.decode()
    assert page.count("<img") == 1
    assert 'loading="lazy"' in page
    assert f'href="/ui/predictions/{made["id"]}"' in page
    assert (await browser.get("/ui/gallery?model=acme/echo")).body.decode().count("<img") == 0
    other = await Browser(world).signed_in(world.other_token)
    assert (await other.get("/ui/gallery")).body.decode().count("<img") == 0


async def test_a_table_of_large_outputs_is_whole(world: World, browser: Browser) -> None:
    tag = f"grid-{'1' * 16}"
    for number in range(4):
        sent = {"version": "acme/echo", "input": {"prompt": f"row {number}"}, "tags": [tag]}
        made = (await world.post("/v1/predictions", sent)).json()["id"]
        await world.run(made, "x" * 3_000_000)
    page = (await browser.get(f"/ui/grid/{tag}?x=input.prompt")).body.decode()
    assert [f"row {number}" in page for number in range(4)] == [True] * 4
    assert "4 of 4 ended" in page
    assert len(page) < 50_000
