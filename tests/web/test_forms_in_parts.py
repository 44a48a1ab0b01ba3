"""Forms with large files: taken apart as they arrive, in memory, within their limit."""

from typing import Any

import pytest

from api.world import World
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
