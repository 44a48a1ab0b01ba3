"""Behind a proxy that serves us under a path, all links of all pages keep that path."""

import re

import pytest

from api.world import World
from halley.settings import ServerSettings
from web.browser import Browser
from web.test_guard import Scene, scene_of

pytestmark = pytest.mark.anyio

STREAMS = {"ui.live", "ui.prediction.events"}
LINK = re.compile(r'\b(?:href|src|action|formaction|data-base|data-live-topic|poster)="([^"]*)"')


async def test_all_links_keep_the_path_of_the_proxy() -> None:
    world = await World(server=ServerSettings(public_url="https://models.example/halley")).fill()
    browser = Browser(world)
    browser.origin, browser.host = "https://models.example", "models.example"
    await browser.signed_in(world.token)
    assert list(browser.cookies) == ["__Host-halley_session_halley"]
    scene: Scene = await scene_of(world)
    seen = 0
    for route in scene.routes("GET"):
        if route.name in STREAMS:
            continue
        page = await browser.get(f"/halley{scene.path(route)}", accept="text/html")
        for link in LINK.findall(page.body.decode()):
            seen += 1
            is_kept = link.startswith(("/halley/", "#", "?", "https://", "data:")) or link in ("/halley", "predictions")
            assert is_kept or link.startswith(("prediction:", "clock")), f"{route.name}: {link}"
    assert seen > 100
