"""The region of a page that shows a run, and the stream that a script follows."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from api.world import World, schema, settled
from halley.api.waiting.hold import HOLD_KEY
from halley.predictions.status import Fact
from web.browser import Browser
from web.test_playground import add

pytestmark = pytest.mark.anyio


async def ended(world: World, model: str, output: Any, *, log: str = "", error: str | None = None) -> str:
    """A prediction with this output, or error; its id."""
    made = await world.create(model)
    await world.start(made["id"])
    if log:
        await world.log(made["id"], log)
    if output is not None:
        await world.output(made["id"], output)
    await world.finish(made["id"], Fact.SUCCEEDED if error is None else Fact.FAILED, error=error)
    return str(made["id"])


async def test_a_text_is_joined_and_escaped(world: World, browser: Browser) -> None:
    one = await ended(world, "acme/echo", ["<b>Once", " upon</b>\u202e", "</script><script>alert(1)</script>"])
    page = (await browser.get(f"/ui/predictions/{one}/output")).body.decode()
    assert "&lt;b&gt;Once upon&lt;/b&gt;" in page
    assert "<script>alert" not in page
    assert "data-follow" not in page


async def test_a_list_of_flat_objects_is_a_table(world: World, browser: Browser) -> None:
    one = await ended(world, "acme/echo", [{"label": "cat", "score": 0.5}, {"label": "dog", "score": None, "x": "<i>"}])
    page = (await browser.get(f"/ui/predictions/{one}/output")).body.decode()
    assert page.count("<tr>") == 3
    assert '<th scope="col" class="num" dir="auto">score</th>' in page
    assert "&lt;i&gt;" in page


async def test_a_failure_shows_its_reason_and_the_end_of_its_log(world: World, browser: Browser) -> None:
    log = "".join(f"line {number}\n" for number in range(5000))
    one = await ended(world, "acme/echo", None, log=log, error="<img src=x onerror=alert(1)>")
    page = (await browser.get(f"/ui/predictions/{one}/output")).body.decode()
    assert "&lt;img src=x" in page
    assert "line 4999" in page
    assert "line 100\n" not in page
    assert "The whole log" in page


async def test_a_running_one_can_be_followed_and_canceled(world: World, browser: Browser) -> None:
    made = await world.create()
    await world.start(made["id"])
    await world.log(made["id"], " 40%|####      | 2/5\r")
    page = (await browser.get(f"/ui/predictions/{made['id']}/output")).body.decode()
    assert f'data-follow="/ui/predictions/{made["id"]}/events"' in page
    assert 'value="40"' in page
    assert f'action="/ui/predictions/{made["id"]}/cancel"' in page
    assert 'http-equiv="refresh"' in page  # without scripts
    part = (await browser.get(f"/ui/predictions/{made['id']}/output", x_fragment="1")).body.decode()
    assert 'id="result"' in part
    assert "nav" not in part


async def test_the_stream_is_that_of_the_api(world: World, browser: Browser) -> None:
    one = await ended(world, "acme/echo", "hello")
    api = await world.get(f"/v1/predictions/{one}/events?after=1", headers={"accept": "text/event-stream"})
    passed = await browser.get(f"/ui/predictions/{one}/events?after=1")
    assert passed.headers["content-type"] == "text/event-stream"
    assert passed.body == api.body
    last = json.loads(passed.body.decode().rstrip().rpartition("data: ")[2])["seq"]
    assert (await browser.get(f"/ui/predictions/{one}/events", last_event_id=str(last))).status == 204
    twin = await browser.get(f"/ui/predictions/{one}/events.json")
    assert twin.json() == (await world.get(f"/v1/predictions/{one}/events")).json()


async def test_a_stream_ends_with_the_connection_of_its_reader(world: World, browser: Browser) -> None:
    made = await world.create()
    path = f"/ui/predictions/{made['id']}/events"
    connection: dict[str, Any] = {"path": path}
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    task = asyncio.ensure_future(browser.world.api(*asgi(connection, cookie)))
    await settled()
    assert len(world.hub) == 1
    connection[HOLD_KEY].leave()  # as the protocol does when a connection is lost
    await asyncio.wait_for(task, 60)
    assert len(world.hub) == 0


def asgi(scope: dict[str, Any], cookie: str) -> tuple[dict[str, Any], Any, Any]:
    """A GET whose scope the test keeps."""
    scope |= {"type": "http", "method": "GET", "scheme": "http", "query_string": b""}
    scope["raw_path"] = scope["path"].encode()
    scope["headers"] = [(b"host", b"localhost:1986"), (b"cookie", cookie.encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: dict[str, Any]) -> None:
        pass

    return scope, receive, send


async def test_nobody_else_sees_it(world: World) -> None:
    one = await ended(world, "acme/echo", "mine")
    other = await Browser(world).signed_in(world.other_token)
    for path in (f"/ui/predictions/{one}/output", f"/ui/predictions/{one}/events"):
        assert (await other.get(path)).status == 404
        assert (await Browser(world).get(path)).status == 303
        assert (await Browser(world).get(path, x_fragment="1")).status == 401


async def test_ten_thousand_files_are_few_on_the_page(world: World, browser: Browser) -> None:
    made = await world.create()
    await world.start(made["id"])
    one = await world.keep(made["id"], 0, "a.txt", b"x", "text/plain")
    ref = f"asset:{made['id']}/{{}}/a.txt"
    files = tuple(msgspec.structs.replace(one, ref=ref.format(n), index=n) for n in range(10_000))
    await world.output(made["id"], [file.ref for file in files], files=files)
    await world.finish(made["id"])
    page = (await browser.get(f"/ui/predictions/{made['id']}/output")).body.decode()
    assert page.count("<li>") == 60
    assert "all files" in page
    assert len(page) < 60_000


async def test_a_long_text_is_shown_in_part(world: World, browser: Browser) -> None:
    one = await ended(world, "acme/echo", "wörd " * 1_000_000)
    page = (await browser.get(f"/ui/predictions/{one}/output")).body.decode()
    assert len(page) < 250_000
    assert "This is the beginning" in page
    form = (await browser.get(f"/ui/models/acme/echo?prediction={one}")).body.decode()
    assert len(form) < 260_000


async def test_a_text_that_looks_like_a_link_to_a_file_stays_a_text(world: World, browser: Browser) -> None:
    one = await ended(world, "acme/echo", "http://localhost:1986/d/x/y.png")
    page = (await browser.get(f"/ui/predictions/{one}/output")).body.decode()
    assert "&#34;http://localhost:1986/d/x/y.png&#34;" in page
    assert "<img" not in page


ARRAY = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(("more", "shown"), [
    ({}, "&#34;cat&#34;"),
    ({"x-cog-array-type": "iterator"}, ">catdog<"),
    ({"x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"}, ">catdog<"),
])  # fmt: skip
async def test_a_list_of_texts_is_one_text_only_if_it_is_streamed(
    world: World, browser: Browser, more: dict[str, str], shown: str
) -> None:
    await add(world, "acme/words", json.loads(schema({}, output={**ARRAY, **more})))
    made = await ended(world, "acme/words", ["cat", "dog"])
    tag = f"grid-{'1' * 16}"
    tagged = (await world.post("/v1/predictions", {"version": "acme/words", "input": {}, "tags": [tag]})).json()["id"]
    await world.run(tagged, ["cat", "dog"])
    for path in (
        f"/ui/predictions/{made}",
        f"/ui/models/acme/words?prediction={made}",
        f"/ui/compare?a={made}&b={tagged}",
        f"/ui/grid/{tag}",
    ):
        assert shown in (await browser.get(path)).body.decode(), path
