"""Output files on pages of a server whose links to them need a key: the sign-in opens them, no key is in a URL."""

import re

import pytest

from api.test_files import PNG, painted
from api.world import World
from halley.settings import QuirkSettings
from web.browser import Browser

pytestmark = pytest.mark.anyio
_FILE = re.compile(r'(?:src|href)="([^"]*/d/[^"]*)"')
_OF_PAGES = re.compile(r"/ui/d/[0-9A-Za-z_-]{22,}/[^/]+")


@pytest.fixture
async def world() -> World:
    return await World(quirks=QuirkSettings(output_links_need_key=True)).fill()


async def test_pages_show_files_through_the_sign_in(world: World, browser: Browser) -> None:
    one = await painted(world)
    other = await Browser(world).signed_in(world.other_token)
    nobody = Browser(world)
    pages = ("", "/predictions", "/gallery", f"/compare?a={one}&b={one}", f"/predictions/{one}")
    pages += (f"/predictions/{one}?tab=assets", f"/predictions/{one}/output", f"/models/acme/paint?prediction={one}")
    seen = set()
    for page in pages:
        found = _FILE.findall((await browser.get(f"/ui{page}")).body.decode())
        assert found, page
        assert all(map(_OF_PAGES.fullmatch, found)), (page, found)
        seen.update(found)
    for link in seen:
        mine = await browser.get(link)
        assert (mine.status, mine.headers["content-type"], mine.body) == (200, "image/png", PNG)
        assert mine.headers["cache-control"] == "private, no-cache"
        part = await browser.get(link, range="bytes=1-3")
        assert (part.status, part.body) == (206, PNG[1:4])
        assert (await browser.get(link, if_none_match=mine.headers["etag"])).status == 304
        assert (await other.get(link)).status == 404
        assert (await nobody.get(link)).status == 401
        assert (await browser.get(link, sec_fetch_dest="iframe")).status == 403
    assert (await browser.get("/ui/d/forged/a.png")).status == 404
