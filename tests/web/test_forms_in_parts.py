"""Forms with large files: taken apart as they arrive, in memory, within their limit."""

import threading
from typing import Any

import pytest

from api.world import World
from halley.web.forms_posted import TEXT_BYTES
from halley.web.pages.playground import FORM_BYTES
from web.browser import Browser

pytestmark = pytest.mark.anyio
PAGE = "/ui/models/acme/paint"


def in_parts(data: bytes) -> bytes:
    head = b'--bb\r\nContent-Disposition: form-data; name="input.prompt"\r\n\r\nx\r\n'
    file = b'--bb\r\nContent-Disposition: form-data; name="file.prompt"; filename="a.bin"\r\n\r\n'
    return head + file + data + b'\r\n--bb\r\nContent-Disposition: form-data; name="add.none"\r\n\r\n1\r\n--bb--\r\n'


async def post(browser: Browser, body: bytes) -> Any:
    token = browser.form_token
    headers = {"origin": browser.origin, "content_type": "multipart/form-data; boundary=bb", "x_csrf_token": token}
    return await browser._ask("POST", PAGE, headers=headers, body=body)


async def test_a_large_file_is_stored_as_it_is(world: World, browser: Browser) -> None:
    data = bytes(range(256)) * 4096 * 3
    assert (await post(browser, in_parts(data))).status == 200
    (stored,) = (await world.get("/v1/files")).json()["results"]
    assert (stored["name"], stored["size"]) == ("a.bin", len(data))


async def test_a_form_over_its_limit_is_refused(world: World, browser: Browser) -> None:
    refused = await post(browser, in_parts(bytes(FORM_BYTES)))
    assert refused.status == 413
    assert (await world.get("/v1/files")).json()["results"] == []


async def test_half_a_form_is_refused(browser: Browser) -> None:
    refused = await post(browser, in_parts(b"data")[:-20])
    assert refused.status == 400


async def test_a_form_of_very_many_parts_is_refused(browser: Browser) -> None:
    part = b'--bb\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    assert (await post(browser, part * 9_000 + b"--bb--\r\n")).status == 303
    assert (await post(browser, part * 11_000 + b"--bb--\r\n")).status == 413


async def test_texts_are_limited_in_both_kinds_of_forms(browser: Browser) -> None:
    # a file of 64 MiB is only kept; a text of it is taken apart and shown again, which takes gigabytes and seconds
    long = "%41" * (TEXT_BYTES // 3)
    assert (await browser.post(PAGE, {"input.prompt": long})).status == 413
    part = b'--bb\r\nContent-Disposition: form-data; name="input.prompt"\r\n\r\n%b\r\n--bb--\r\n'
    assert (await post(browser, part % bytes(TEXT_BYTES))).status == 413


@pytest.mark.parametrize(("text", "is_apart"), [("short", False), ("<" * 100_000, True)])
async def test_a_page_of_a_heavy_form_is_made_beside_the_loop(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch, text: str, is_apart: bool
) -> None:
    render, threads = world.dashboard.render, set[int]()

    def noted(*args: Any, **more: Any) -> Any:
        threads.add(threading.get_ident())
        return render(*args, **more)

    monkeypatch.setattr(world.dashboard, "render", noted)
    reply = await browser.post(PAGE, {"input.prompt": text, "add.none": "1"})
    assert (reply.status, (threading.get_ident() not in threads)) == (200, is_apart)


async def test_of_many_pressed_buttons_few_are_looked_at(browser: Browser) -> None:
    reply = await browser.post(PAGE, [("add.prompt", "1")] * 9_000)
    assert reply.status == 200
