"""Where an output can be used next."""

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from api.world import World, schema
from html_form import HtmlForm
from web.browser import Browser
from web.test_playground import add

pytestmark = pytest.mark.anyio
INPUTS: dict[str, Any] = {
    "image": {"type": "string", "format": "uri", "title": "The <picture>"},
    "others": {"type": "array", "items": {"type": "string", "format": "uri"}},
    "prompt": {"type": "string"},
}
LINK = "http://localhost:1986/d/abc/out-0.png"


async def test_a_file_leads_to_the_inputs_that_take_it(world: World, browser: Browser) -> None:
    await add(world, "acme/takes", json.loads(schema(INPUTS)))
    found = (await browser.get(f"/ui/use.json?file={quote(LINK)}")).json()
    inputs = {one["name"]: one["path"] for one in found["inputs"] if one["model"] == "acme/takes"}
    assert {name: json.loads(parse_qs(urlsplit(path).query)["input"][0]) for name, path in inputs.items()} == {
        "image": {"image": LINK},
        "others": {"others": [LINK]},
    }
    page = (await browser.get(f"/ui/use?file={quote(LINK)}")).body.decode()
    assert "The &lt;picture&gt;" in page
    form = HtmlForm((await browser.get(inputs["image"])).body.decode())
    assert dict(form.posted())["input.image"] == LINK


async def test_only_links_are_files(browser: Browser) -> None:
    for odd in ("", "javascript:alert(1)", "file:///etc/passwd", "http://x/" + "a" * 3000):
        assert (await browser.get(f"/ui/use?file={quote(odd)}")).status == 400


async def test_an_output_that_is_no_link_does_not_harm_the_forms_of_others(world: World, browser: Browser) -> None:
    await add(world, "acme/takes", json.loads(schema(INPUTS)))
    made = await world.create()
    await world.run(made["id"], ["http://[/d/a/b.png", "https://x.example/é ?a=/b"])
    page = (await browser.get("/ui/models/acme/takes")).body.decode()
    assert '<option value="http://[/d/a/b.png">b.png of acme/echo</option>' in page
