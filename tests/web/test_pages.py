"""Signing in, and the pages behind it."""

import pytest

from api.world import World
from web.browser import Browser

pytestmark = pytest.mark.anyio


async def test_a_key_opens_the_dashboard(world: World) -> None:
    browser = Browser(world)
    refused = await browser.get("/ui/models?limit=5")
    assert (refused.status, refused.headers["location"]) == (303, "/ui/sign-in?next=%2Fui%2Fmodels%3Flimit%3D5")
    wrong = await browser.post("/ui/sign-in", {"key": "hly_wrong"}, token=None)
    assert wrong.status == 401
    assert b"not valid" in wrong.body
    await browser.signed_in(world.token)
    shown = await browser.get("/ui/models")
    assert shown.status == 200
    assert b"acme/echo" in shown.body


async def test_a_twin_is_what_the_api_answers(world: World, browser: Browser) -> None:
    twin = await browser.get("/ui/models.json?limit=2")
    api = await world.get("/v1/models?limit=2")
    assert twin.json() == {"models": api.json()}


async def test_signing_out_here_and_everywhere(world: World, browser: Browser) -> None:
    other = await Browser(world).signed_in(world.token)
    assert (await browser.post("/ui/sign-out")).status == 303
    assert (await browser.get("/ui")).status == 303
    assert (await other.get("/ui")).status == 200
    third = await Browser(world).signed_in(world.token)
    await third.post("/ui/sign-out", {"everywhere": "1"})
    assert (await other.get("/ui")).status == 303


async def test_a_sign_in_ends_with_its_key_and_after_its_time(world: World, browser: Browser) -> None:
    world.clock.advance(11 * 3600)
    assert (await browser.get("/ui")).status == 200
    world.clock.advance(11 * 3600)
    assert (await browser.get("/ui")).status == 200
    world.clock.advance(12 * 3600 + 1)
    assert (await browser.get("/ui")).status == 303
    again = await Browser(world).signed_in(world.token)
    key = (await world.keys.verify(world.token)).key
    await world.keys.revoke(key.id)
    assert (await again.get("/ui")).status == 303
    assert (await again.get("/ui.json")).status == 401
