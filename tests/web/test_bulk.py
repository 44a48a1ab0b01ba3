"""The pages of bulk actions: the question, the action, and how far it is."""

import html
import re

import pytest

from api.test_bulk import carry_out, fail, finished, made
from api.world import World
from web.browser import Browser

pytestmark = pytest.mark.anyio


def hidden(body: bytes) -> list[tuple[str, str]]:
    """The hidden fields of the form that posts to /ui/bulk, without the form token."""
    form = re.search(r'<form method="post" action="/ui/bulk".*?</form>', body.decode(), re.DOTALL)
    assert form is not None
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[0])
    return [(name, html.unescape(value)) for name, value in found if name != "csrf"]


async def test_what_fits_is_asked_about_and_then_done(world: World, browser: Browser) -> None:
    ids = await made(world)
    await fail(world, ids[:2], error="<script>alert(1)</script> broke")
    asked = await browser.get("/ui/bulk/new?action=rerun&status=failed&model=acme/*&q=ignored")
    assert asked.status == 200
    assert b"Run 2 predictions again?" in asked.body
    assert b"&lt;script&gt;alert(1)" in asked.body
    assert b"<script>alert" not in asked.body
    world.clock.advance(5)
    late = await made(world, 1)
    await fail(world, late)  # after the question: it was not counted
    begun = await browser.post("/ui/bulk", hidden(asked.body))
    assert begun.status == 303
    again = await browser.post("/ui/bulk", hidden(asked.body))
    assert again.headers["location"] == begun.headers["location"]
    (action,) = (await world.get("/v1/bulk-actions")).json()["results"]
    assert (begun.headers["location"], action["total"]) == (f"/ui/bulk/{action['id']}", 2)
    running = await browser.get(begun.headers["location"])
    assert b'http-equiv="refresh"' in running.body
    assert b">Stop<" in running.body
    await finished(world, action)
    ended = await browser.get(begun.headers["location"])
    assert b"2 done" in ended.body
    assert b'http-equiv="refresh"' not in ended.body
    listed = await browser.get("/ui/bulk")
    assert action["id"].encode() in listed.body
    twin = (await browser.get(f"{begun.headers['location']}.json")).json()
    assert twin["bulk_action"]["done"] == 2


async def test_a_group_of_errors_can_be_run_again(world: World, browser: Browser) -> None:
    ids = await made(world)
    await fail(world, ids[:2], error="no memory at 0x1")
    await fail(world, ids[2:], error="no such file")
    links = re.findall(r'href="(/ui/bulk/new[^"]+)"', (await browser.get("/ui/errors")).body.decode())
    asked = [(await browser.get(html.unescape(link))).body for link in links]
    assert [re.findall(rb"<h1>(.*?)</h1>", one) for one in asked] == [
        [b"Run 2 predictions again?"],
        [b"Run 1 prediction again?"],
    ]


async def test_ticked_predictions_are_meant_alone(world: World, browser: Browser) -> None:
    ids = await made(world)
    query = "&".join(f"prediction={one}" for one in ids[:2])
    asked = await browser.get(f"/ui/bulk/new?action=cancel&status=starting&{query}")
    assert b"Cancel 2 predictions?" in asked.body
    await browser.post("/ui/bulk", hidden(asked.body))
    await carry_out(world, 2)
    assert [str((await world.row(one)).status) for one in ids] == ["canceled", "canceled", "starting"]


async def test_it_can_be_stopped(world: World, browser: Browser) -> None:
    await made(world, 2)
    asked = await browser.get("/ui/bulk/new?action=cancel")
    begun = await browser.post("/ui/bulk", hidden(asked.body))
    await browser.post(f"{begun.headers['location']}/stop")
    shown = await browser.get(begun.headers["location"])
    assert b"2 not done" in shown.body
    assert b"on request" in shown.body


async def test_nothing_and_nonsense_are_said_plainly(world: World, browser: Browser) -> None:
    nothing = await browser.get("/ui/bulk/new?action=cancel&model=no/one")
    assert nothing.status == 200
    assert b"There is nothing to do: waiting or running predictions of no/one" in nothing.body
    for path in ("/ui/bulk/new", "/ui/bulk/new?action=x", "/ui/bulk/new?action=cancel&status=faild"):
        assert (await browser.get(path)).status == 422
    assert (await browser.get("/ui/bulk/0123")).status == 404


async def test_the_pages_of_another_account_are_absent(world: World, browser: Browser) -> None:
    ids = await made(world, 1)
    asked = await browser.get("/ui/bulk/new?action=cancel")
    begun = await browser.post("/ui/bulk", hidden(asked.body))
    other = await Browser(world).signed_in(world.other_token)
    assert (await other.get(begun.headers["location"])).status == 404
    assert (await other.post(f"{begun.headers['location']}/stop")).status == 404
    assert b"No bulk action yet" in (await other.get("/ui/bulk")).body
    assert (await other.get(f"/ui/bulk/new?action=cancel&prediction={ids[0]}")).status == 422


@pytest.mark.parametrize("limit", ["²", "9" * 5000, "-1", "x"])
async def test_a_limit_that_is_no_number_is_no_error_of_ours(world: World, browser: Browser, limit: str) -> None:
    await made(world, 1)
    asked = await browser.post("/ui/bulk", {"action": "cancel", "model": "acme/*", "limit": limit})
    assert asked.status == 303


async def test_too_many_chosen_predictions_are_refused(browser: Browser) -> None:
    asked = await browser.get("/ui/bulk/new?action=cancel" + "&prediction=x" * 1200, accept="text/html")
    assert asked.status == 400
