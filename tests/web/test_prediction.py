"""The page of one prediction, and two of them compared."""

import json
import re
from typing import Any

import pytest

from api.world import World, schema
from halley.assets.embedding import extract
from halley.predictions.lifecycle import Fact
from pictures import png
from web.browser import Browser
from web.test_playground import add

pytestmark = pytest.mark.anyio

TABS = ("output", "input", "logs", "timeline", "webhooks", "assets", "request", "json")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e"


async def ran(world: World, *, value: Any = None, count: int = 1) -> str:
    """A prediction with files; its id."""
    made = (await world.create("acme/free"))["id"]
    await world.start(made)
    await world.log(made, f"line one\n{EVIL}\n")
    name = EVIL[:9].replace("/", "_")
    files = tuple([await world.keep(made, n, f"{name} {n}.png", png(), "image/png") for n in range(count)])
    await world.output(made, [file.ref for file in files] if value is None else value, files=files)
    await world.finish(made)
    return str(made)


@pytest.mark.parametrize("tab", TABS)
async def test_each_tab_shows_users_texts_as_text(world: World, browser: Browser, tab: str) -> None:
    sent = {"version": "acme/free", "input": {EVIL: EVIL, "list": [1, EVIL]}}
    made = (await world.post("/v1/predictions", sent)).json()["id"]
    await world.start(made)
    await world.log(made, EVIL)
    await world.output(made, {EVIL: EVIL})
    await world.finish(made, Fact.FAILED, error=EVIL)
    page = (await browser.get(f"/ui/predictions/{made}?tab={tab}")).body.decode()
    assert page.count("<script") == page.count('<script type="module" src="/ui/static/')  # ours
    assert "<img src=x" not in page
    assert 'aria-current="page">' + tab.replace("json", "JSON").title().replace("Json", "JSON") in page
    assert "&lt;/script&gt;" in page


async def test_a_page_says_what_is_true_in_each_state(world: World, browser: Browser) -> None:
    made = (await world.create("acme/free"))["id"]
    waiting = (await browser.get(f"/ui/predictions/{made}")).body.decode()
    assert "waited since" in waiting
    assert "/cancel" in waiting
    assert 'http-equiv="refresh"' in waiting
    assert "/rerun" not in waiting
    await world.start(made)
    assert "ran since" in (await browser.get(f"/ui/predictions/{made}")).body.decode()
    await world.output(made, "some words")
    await world.finish(made)
    ended = (await browser.get(f"/ui/predictions/{made}")).body.decode()
    assert 'data-status="succeeded"' in ended
    assert "some words" in ended
    assert "/rerun" in ended
    assert "/cancel" not in ended
    assert "refresh" not in ended


async def test_it_is_canceled_and_its_data_deleted_by_forms(world: World, browser: Browser) -> None:
    made = (await world.create("acme/free"))["id"]
    reply = await browser.post(f"/ui/predictions/{made}/cancel")
    assert (reply.status, reply.headers["location"]) == (303, f"/ui/predictions/{made}")
    assert "Cancel requested." in (await browser.get(f"/ui/predictions/{made}")).body.decode()
    assert (await world.row(made)).status == "canceled"
    assert (await browser.post(f"/ui/predictions/{made}/delete-data")).status == 303
    for tab in TABS:
        page = await browser.get(f"/ui/predictions/{made}?tab={tab}")
        assert page.status == 200
        assert b"were removed" in page.body


async def test_it_is_run_again_once_for_each_form(world: World, browser: Browser) -> None:
    made = await ran(world)
    page = (await browser.get(f"/ui/predictions/{made}")).body.decode()
    once = re.search(r'name="once" value="([0-9a-f]{16})"', page)
    assert once is not None
    replies = [await browser.post(f"/ui/predictions/{made}/rerun", {"once": once[1]}) for _ in range(2)]
    assert [reply.status for reply in replies] == [303, 303]
    (again,) = {reply.headers["location"] for reply in replies}
    shown = (await browser.get(again)).body.decode()
    assert f'<dt>Run again from</dt><dd><a class="mono" href="/ui/predictions/{made}">' in shown


async def test_a_run_with_a_secret_is_run_again_by_its_form(world: World, browser: Browser) -> None:
    inputs = {"prompt": {"type": "string"}, "token": {"type": "string", "format": "password", "x-cog-secret": True}}
    await add(world, "acme/hidden", json.loads(schema(inputs)))
    sent = {"version": "acme/hidden", "input": {"prompt": "kept", "token": "hunter2"}}
    made = (await world.post("/v1/predictions", sent)).json()["id"]
    await world.run(made)
    reply = await browser.post(f"/ui/predictions/{made}/rerun")
    assert (reply.status, reply.headers["location"]) == (303, f"/ui/models/acme/hidden?prediction={made}")
    page = (await browser.get(reply.headers["location"])).body.decode()
    assert "It was not run again. input.token: was a secret" in page
    assert "kept</textarea>" in page
    assert len((await world.get("/v1/predictions")).json()["results"]) == 1


async def test_a_version_that_cannot_run_any_more_is_an_error_and_not_a_fault_of_the_input(
    world: World, browser: Browser
) -> None:
    made = await ran(world)
    world.catalog.withdraw("acme/free")
    reply = await browser.post(f"/ui/predictions/{made}/rerun")
    page = reply.body.decode()
    assert (reply.status, "cannot run here any more" in page, "notice good" in page) == (422, True, False)


async def test_what_stands_for_a_secret_is_not_sent_as_one(world: World, browser: Browser) -> None:
    inputs = {"prompt": {"type": "string"}, "token": {"type": "string", "format": "password", "x-cog-secret": True}}
    await add(world, "acme/hidden", json.loads(schema(inputs)))
    sent = {"version": "acme/hidden", "input": {"prompt": "kept", "token": "hunter2"}}
    made = (await world.post("/v1/predictions", sent)).json()["id"]
    grid = (await browser.get(f"/ui/grid?from={made}")).body.decode()
    assert "kept" in grid
    assert "REDACTED" not in grid
    page = (await browser.get(f"/ui/predictions/{made}?tab=request")).body.decode()
    assert "REDACTED" not in page
    assert page.count("&#34;token&#34;: &#34;...&#34;") == 2  # the request, and as a command
    assert 'put in the value of <code dir="auto">token</code>' in page


async def test_what_another_account_or_no_one_may_see(world: World, browser: Browser) -> None:
    made = await ran(world)
    other = await Browser(world).signed_in(world.other_token)
    stranger = Browser(world)
    for path in ("", "?tab=logs", ".json", "/log", "/with-input/0"):
        assert (await browser.get(f"/ui/predictions/{made}{path}")).status == 200
        assert (await other.get(f"/ui/predictions/{made}{path}")).status == 404
        assert (await stranger.get(f"/ui/predictions/{made}{path}")).status in (303, 401)
    for path in ("cancel", "rerun", "delete-data"):
        assert (await other.post(f"/ui/predictions/{made}/{path}")).status == 404
        assert (await browser.post(f"/ui/predictions/{made}/{path}", token=None)).status == 403
    for odd in ("x", "0" * 26, f"{made}%2Fevents", f"{made}%2E%2E", "%00"):
        assert (await browser.get(f"/ui/predictions/{odd}")).status == 404


async def test_the_twin_has_the_answer_of_the_api(world: World, browser: Browser) -> None:
    made = await ran(world)
    twin = (await browser.get(f"/ui/predictions/{made}.json?tab=assets")).json()
    assert twin["prediction"] == (await world.get(f"/v1/predictions/{made}")).json()
    assert [one["event"] for one in twin["history"]] == ["status"] * 3
    assert twin["files"][0]["name"] == f"{EVIL[:9]} 0.png".replace("/", "_")


async def test_a_log_and_a_picture_with_its_input_are_downloads(world: World, browser: Browser) -> None:
    made = await ran(world)
    log = await browser.get(f"/ui/predictions/{made}/log")
    assert log.body.decode() == f"line one\n{EVIL}\n"
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    assert log.headers["content-disposition"].startswith("attachment")
    picture = await browser.get(f"/ui/predictions/{made}/with-input/0")
    assert picture.headers["content-disposition"].startswith("attachment")
    note = extract(picture.body)
    assert note is not None
    assert note.prediction == made
    for number in ("7", "x", "-1", "0%2F.."):
        assert (await browser.get(f"/ui/predictions/{made}/with-input/{number}")).status == 404


async def test_large_things_are_shown_in_part(world: World, browser: Browser) -> None:
    made = (await world.create("acme/free"))["id"]
    await world.start(made)
    for number in range(3):
        await world.log(made, f"{number}" * 150_000)
    for number in range(150):
        await world.say(made, "progressed", b'{"fraction":0.5,"current":%d,"total":300}' % number)
    await world.output(made, "x" * 3_000_000)
    await world.finish(made)
    for tab in TABS:
        page = await browser.get(f"/ui/predictions/{made}?tab={tab}")
        assert len(page.body) < 300_000, tab
    last = (await browser.get(f"/ui/predictions/{made}?tab=logs")).body.decode()
    assert "Part 3 of 3" in last
    assert "tab=logs&amp;part=2" in last
    first = (await browser.get(f"/ui/predictions/{made}?tab=logs&part=1")).body.decode()
    assert "0" * 150_000 in first
    timeline = (await browser.get(f"/ui/predictions/{made}?tab=timeline")).body.decode()
    assert timeline.count("<tr>") == 101
    assert "tab=timeline&amp;after=100" in timeline


async def test_many_files_are_listed_in_pages(world: World, browser: Browser) -> None:
    made = await ran(world, count=130)
    output = (await browser.get(f"/ui/predictions/{made}")).body.decode()
    assert output.count("<img") == 24
    assert "all files" in output
    assets = (await browser.get(f"/ui/predictions/{made}?tab=assets")).body.decode()
    assert assets.count("with its input</a>") == 100
    assert "tab=assets&amp;after=100" in assets
    rest = (await browser.get(f"/ui/predictions/{made}?tab=assets&after=100")).body.decode()
    assert rest.count("with its input</a>") == 30


async def test_two_runs_are_compared(world: World, browser: Browser) -> None:
    ids = []
    for prompt, seed in (("a lake at dawn", 1), ("a lake at dusk", 1)):
        sent = {"version": "acme/free", "input": {"prompt": prompt, "seed": seed}}
        ids.append((await world.post("/v1/predictions", sent)).json()["id"])
        await world.run(ids[-1], f"made of {prompt}")
    page = (await browser.get(f"/ui/compare?a={ids[0]}&b={ids[1]}")).body.decode()
    assert "<mark>dawn</mark>" in page
    assert "<mark>dusk</mark>" in page
    assert "1 differs" in page
    assert "made of a lake at dawn" in page
    twin = (await browser.get(f"/ui/compare.json?a={ids[0]}&b={ids[1]}")).json()
    assert twin["differing_inputs"] == ["prompt"]
    link = f"http%3A%2F%2Flocalhost%3A1986%2Fp%2F{ids[1]}%3Ft%3Dsecret"
    assert b"<mark>dusk</mark>" in (await browser.get(f"/ui/compare?a={ids[0]}&b={link}")).body
    ticked = f"/ui/compare?status=succeeded&prediction={ids[0]}&prediction={ids[1]}&prediction={ids[0]}"
    assert b"<mark>dusk</mark>" in (await browser.get(ticked)).body
    form = (await browser.get(f"/ui/compare?a={ids[0]}&b=nonsense")).body.decode()
    assert f"/ui/compare?a={ids[0]}&amp;b={ids[1]}" in form
    other = await Browser(world).signed_in(world.other_token)
    assert (await other.get(f"/ui/compare?a={ids[0]}&b={ids[1]}")).status == 404
    assert (await other.get(f"/ui/compare?a={ids[0]}")).status == 404
