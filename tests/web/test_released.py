"""What a page was made of is released with it: circles would keep outputs and logs of megabytes for minutes."""

import gc
from collections.abc import Iterator

import pytest

from api.world import World
from halley.web.views.run import ShownRun
from web.browser import Browser

pytestmark = pytest.mark.anyio


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
async def test_no_prediction_is_kept_after_its_page(world: World, browser: Browser) -> None:
    made = await world.create("acme/echo")
    await world.start(made["id"])
    await world.output(made["id"], "text")
    await world.finish(made["id"])
    one = f"/ui/predictions/{made['id']}"
    tabs = ("output", "input", "logs", "timeline", "webhooks", "assets", "request", "json")
    pages = [f"{one}?tab={tab}" for tab in tabs]
    pages += ["/ui", "/ui/predictions", "/ui/gallery", f"/ui/compare?a={made['id']}&b={made['id']}", f"{one}/output"]
    pages += [
        f"/ui/models/acme/echo?prediction={made['id']}",
        f"/ui/grid?from={made['id']}",
        "/ui/models/acme/echo/runs",
    ]
    kept = {}
    for page in pages:
        assert (await browser.get(page, accept="text/html")).status == 200
        kept[page] = sum(type(one) is ShownRun for one in gc.get_objects())
    assert {page for page, count in kept.items() if count} == set()
