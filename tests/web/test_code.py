"""The code drawer: it follows the form, contains no secret, and works without scripts."""

import json
from typing import Any

import pytest

from api.world import World, schema
from web.browser import Browser
from web.test_playground import add

pytestmark = pytest.mark.anyio
PAGE = "/ui/models/acme/coded"
INPUTS: dict[str, Any] = {
    "prompt": {"type": "string"},
    "mask": {"type": "string", "format": "uri"},
    "token": {"type": "string", "format": "password", "x-cog-secret": True},
}


@pytest.fixture
async def coded(world: World) -> World:
    await add(world, "acme/coded", json.loads(schema(INPUTS, required=("prompt",))))
    return world


def form(**more: str) -> dict[str, str]:
    return {"input.prompt": 'a "hill" </script>', "input.token": "hunter2-hunter2", **more}


async def test_the_code_has_what_the_form_has_without_its_secrets(coded: World, browser: Browser) -> None:
    part = await browser.post(f"{PAGE}/code", form(client="go", way="poll"), x_fragment="1")
    page = part.body.decode()
    assert "replicate.PredictionInput{" in page
    assert "&#34;a \\&#34;hill\\&#34; &lt;/script&gt;&#34;" in page
    assert "hunter2" not in page
    assert "Not in the code" in page
    assert "<form" not in page
    assert (await coded.get("/v1/predictions")).json()["results"] == []


async def test_without_scripts_the_page_comes_back_with_what_was_typed(coded: World, browser: Browser) -> None:
    shown = await browser.post(f"{PAGE}/code", form(client="curl", way="stream"))
    page = shown.body.decode()
    assert shown.status == 200
    assert "a &#34;hill&#34; &lt;/script&gt;</textarea>" in page
    assert "curl -sSN" in page
    assert '<details class="drawer" id="code" data-code="/ui/models/acme/coded/code" open>' in page


async def test_links_choose_client_and_way(coded: World, browser: Browser) -> None:
    page = (await browser.get(f"{PAGE}?client=javascript&way=webhook")).body.decode()
    assert "import Replicate from" in page
    assert "webhook_events_filter" in page
    assert "http://localhost:1986/v1" in page
    odd = (await browser.get(f"{PAGE}?client=%3Cb%3E&way=x")).body.decode()
    assert "replicate.run(" in odd


async def test_the_page_shows_the_run_that_its_address_names(coded: World, browser: Browser) -> None:
    made = await coded.create("acme/coded")
    page = (await browser.get(f"{PAGE}?prediction={made['id']}")).body.decode()
    assert f'data-follow="/ui/predictions/{made["id"]}/events"' in page
    assert (await browser.get(f"{PAGE}?prediction=nothing")).status == 404


async def test_the_page_of_the_api_has_code_for_what_must_be_given(coded: World, browser: Browser) -> None:
    page = (await browser.get(f"{PAGE}/api?client=curl&way=poll")).body.decode()
    assert "&#34;prompt&#34;: &#34;...&#34;" in page
    assert "until curl" in page
    assert 'href="?way=poll&amp;version=&amp;client=go"' in page


async def test_a_file_that_was_not_sent_yet_has_a_link_that_stands_for_it(coded: World, browser: Browser) -> None:
    asked = form(client="python", way="wait", local="file.mask") | {"input.mask": "https://example.com/a%20b.png"}
    page = (await browser.post(f"{PAGE}/code", asked, x_fragment="1")).body.decode()
    assert "https://example.com/a%20b.png" in page
    assert page.count('<code dir="auto">mask</code>') == 1
    odd = await browser.post(f"{PAGE}/code", form(local="file"), x_fragment="1")
    assert odd.status == 200
    assert b">mask<" not in odd.body
