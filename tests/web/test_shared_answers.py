"""Open pages share the answers of the API until something changes, and only within an account."""

import asyncio

import pytest

from api.world import World, settled
from halley.api.shared_answers import LIFE_SECONDS
from halley.keys.records import Scope
from web.browser import Browser
from web.test_internal import call_of
from web.test_live import listening, made_by

pytestmark = pytest.mark.anyio


async def test_home_pages_of_one_account_ask_once(world: World, browser: Browser) -> None:
    begun = 0
    begin = world.api.begin

    async def counting(*args: object) -> object:
        nonlocal begun
        begun += 1
        return await begin(*args)  # type: ignore[arg-type]

    world.api.begin = counting  # type: ignore[assignment, method-assign]
    await browser.get("/ui")
    alone = begun
    live = await listening(browser)
    begun = 0
    await asyncio.gather(*[browser.get("/ui") for _ in range(10)])
    assert begun == 10 + alone - 1  # the pages themselves, and the questions of one
    stranger = await Browser(world).signed_in(world.other_token)
    begun = 0
    await stranger.get("/ui")
    assert begun == alone
    await made_by(world)
    await settled()
    begun = 0
    await browser.get("/ui")
    assert begun == alone
    world.clock.advance(LIFE_SECONDS + 0.1)
    begun = 0
    await browser.get("/ui")
    assert begun == alone
    await live.stop()


async def test_a_key_with_less_scopes_gets_its_own_answers(world: World, browser: Browser) -> None:
    live = await listening(browser)
    assert (await browser.get("/ui")).status == 200
    token, _ = await world.keys.issue("alice", "writer", frozenset({Scope.WRITE}))
    assert (await (await Browser(world).signed_in(token)).get("/ui")).status == 403
    await live.stop()


async def test_who_has_changed_something_sees_it(world: World, browser: Browser) -> None:
    live = await listening(browser)
    assert len((await browser.get("/ui.json")).json()["latest"]) == 0
    identity = await world.keys.verify(world.token)
    body = {"version": "acme/free", "input": {}}
    await world.dashboard.api.ask(call_of(world), identity, "POST", "/v1/predictions", body=body)
    assert len((await browser.get("/ui.json")).json()["latest"]) == 1
    await live.stop()


async def test_nothing_is_shared_over_a_time_without_streams(world: World, browser: Browser) -> None:
    live = await listening(browser)
    assert len((await browser.get("/ui.json")).json()["latest"]) == 0
    await live.stop()
    await made_by(world)
    live = await listening(browser)
    assert len((await browser.get("/ui.json")).json()["latest"]) == 1
    await live.stop()


async def test_old_answers_are_not_kept(world: World, browser: Browser) -> None:
    live = await listening(browser)
    shared = world.dashboard.api._shared_answers
    for number in range(3):
        await browser.get(f"/ui/predictions?tag=t{number}")
        world.clock.advance(LIFE_SECONDS + 0.1)
    await browser.get("/ui/predictions?tag=last")
    assert len(shared) == 2  # the list, and the models
    await live.stop()
