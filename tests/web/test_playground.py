"""The playground of a model, without scripts: its form, its buttons, and what happens to wrong input."""

import json
from typing import Any

import anyio
import pytest

from api.world import World, schema
from halley.keys.records import Scope
from halley.models.records import Model, Version
from html_form import HtmlForm
from web.browser import Browser

pytestmark = pytest.mark.anyio
PAGE = "/ui/models/acme/rich"
INPUTS: dict[str, Any] = {
    "prompt": {"type": "string", "x-order": 0},
    "seed": {"type": "integer", "minimum": 0, "maximum": 10, "x-order": 1},
    "a.b": {"type": "string", "x-order": 2, "title": "<script>alert(1)</script>"},
    "__proto__": {"type": "boolean", "x-order": 3},
    "pictures": {"type": "array", "items": {"type": "string", "format": "uri"}, "x-order": 4},
    "size": {"type": "object", "properties": {"width": {"type": "integer"}, "unit": {"enum": ["px", "mm"]}}},
    "token": {"type": "string", "format": "password", "x-cog-secret": True},
    "either": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "number"}}]},
}


@pytest.fixture
async def rich(world: World) -> World:
    """With a model of many kinds of inputs."""
    document = json.loads(schema(INPUTS, required=("prompt",)))
    document["x-halley-form"] = {
        "order": ["seed", "prompt"],
        "labels": {"seed": "Lucky number"},
        "examples": [{"title": "A lake", "input": {"prompt": "a lake", "seed": 7}}],
    }
    await add(world, "acme/rich", document)
    return world


async def add(world: World, name: str, document: Any) -> None:
    owner, _, short = name.partition("/")
    now = world.clock.now()
    version = Version(id="ab" * 32, model=name, created_at=now, openapi_schema=json.dumps(document).encode())
    await world.catalog.register(Model(owner=owner, name=short, created_at=now), version)
    world.versions[name] = version.id


async def form_of(browser: Browser, path: str = PAGE) -> HtmlForm:
    shown = await browser.get(path)
    assert shown.status == 200, shown.body
    return HtmlForm(shown.body.decode())


def values(form: HtmlForm) -> dict[str, str]:
    return {name: text for name, text in form.posted() if text and name.split(".")[0] in {"input", "json", "choice"}}


async def press(browser: Browser, form: HtmlForm, button: dict[str, str], **changes: str) -> Any:
    return await browser.post(PAGE, {**dict(form.posted_with(changes)), **button})


async def last_input(world: World) -> Any:
    return (await world.get("/v1/predictions")).json()["results"][0]["input"]


async def test_what_is_typed_becomes_the_input(rich: World, browser: Browser) -> None:
    form = await form_of(browser)
    assert [button.text for button in form.buttons if button.text == "Run"] == ["Run"]
    assert form.labels["input.seed"].startswith("Lucky number")
    changes = {
        "input.prompt": "two\nlines",
        "input.seed": "3",
        "input.a%2Eb": "dots",
        "input.__proto__": "false",
        "input.pictures.0": "https://example.com/a.png",
        "input.size.width": "5",
        "input.token": "s3cret",
    }
    sent = await press(browser, form, {"run": "1"}, **changes)
    assert sent.status == 303, sent.body.decode()
    made = sent.headers["location"].split("/")[3]
    assert sent.headers["location"] == f"/ui/predictions/{made}/output"  # a page that refreshes itself, without a form
    assert await last_input(rich) == {
        "prompt": "two\nlines",
        "seed": 3,
        "a.b": "dots",
        "__proto__": False,
        "pictures": ["https://example.com/a.png"],
        "size": {"width": 5},
        "token": "[REDACTED]",
    }
    again = await form_of(browser, f"{PAGE}?prediction={made}")
    found = values(again)
    assert found["input.prompt"] == "two\r\nlines"
    assert "input.token" not in found


async def test_an_empty_form_sends_what_is_required_only(rich: World, browser: Browser) -> None:
    sent = await press(browser, await form_of(browser), {"run": "1"}, **{"input.prompt": "x"})
    assert sent.status == 303
    assert await last_input(rich) == {"prompt": "x"}


async def test_a_refused_input_is_shown_with_its_faults(rich: World, browser: Browser) -> None:
    changes = {"input.seed": "11", "input.pictures.0": "kept", "input.size.width": "1.5", "input.a%2Eb": "kept too"}
    shown = await press(browser, await form_of(browser), {"run": "1"}, **changes)
    page = shown.body.decode()
    assert shown.status == 422
    form = HtmlForm(page)
    found = values(form)
    assert all(found[name] == text for name, text in changes.items())
    assert {"input.prompt-error", "input.seed-error", "input.size.width-error", "problems"} <= set(form.ids)
    assert 'href="#input.size.width"' in page
    assert "prompt is required" in page
    assert (await rich.get("/v1/predictions")).json()["results"] == []


async def test_items_are_added_and_removed_without_scripts(rich: World, browser: Browser) -> None:
    form = await form_of(browser)
    for text in ("one", "two"):
        name = f"input.pictures.{len([n for n in values(form) if n.startswith('input.pictures.')])}"
        shown = await press(browser, form, {"add.pictures": "1"}, **{name: text})
        assert shown.status == 200
        form = HtmlForm(shown.body.decode())
    shown = await press(browser, form, {"remove.pictures.0": "1"}, **{"input.prompt": "kept"})
    found = values(HtmlForm(shown.body.decode()))
    assert found["input.pictures.0"] == "two"
    assert found["input.prompt"] == "kept"
    assert "input.pictures.1" not in found


async def test_the_member_of_a_union_is_chosen_without_scripts(rich: World, browser: Browser) -> None:
    shown = await press(browser, await form_of(browser), {"choose.either": "1"}, **{"input.prompt": "x"})
    form = HtmlForm(shown.body.decode())
    sent = await press(browser, form, {"run": "1"}, **{"input.either.0": "1.5"})
    assert sent.status == 303
    assert (await last_input(rich))["either"] == [1.5]


async def test_the_same_input_as_json_and_back(rich: World, browser: Browser) -> None:
    shown = await press(browser, await form_of(browser), {"switch": "json"}, **{"input.prompt": "x", "input.seed": "4"})
    form = HtmlForm(shown.body.decode())
    assert json.loads(dict(form.pairs)["input"]) == {"seed": 4, "prompt": "x"}
    broken = await press(browser, form, {"switch": "form"}, input='{"prompt": ')
    assert b"not valid JSON" in broken.body
    assert dict(HtmlForm(broken.body.decode()).pairs)["input"] == '{"prompt": '
    changed = '{"prompt": "y", "seed": "no number", "new": [1]}'
    refused = await press(browser, form, {"run": "1"}, input=changed)
    assert refused.status == 422
    assert dict(HtmlForm(refused.body.decode()).pairs)["input"] == changed
    back = HtmlForm((await press(browser, form, {"switch": "form"}, input=changed)).body.decode())
    assert json.loads(dict(back.pairs)["json.seed"]) == "no number"
    assert json.loads(dict(back.pairs)["extra"]) == {"new": [1]}


def in_parts(browser: Browser, form: HtmlForm) -> dict[str, Any]:
    """A run with a file, as a browser sends it."""
    parts = [
        *[(name, "", text) for name, text in form.posted_with({"input.prompt": "x"})],
        ("csrf", "", browser.form_token),
        ("file.pictures.0", "été.png", "bytes"),
        ("run", "", "1"),
    ]
    body = "".join(
        f'--bb\r\nContent-Disposition: form-data; name="{name}"'
        + (f'; filename="{file}"\r\nContent-Type: image/png' if file else "")
        + f"\r\n\r\n{text}\r\n"
        for name, file, text in parts
    )
    headers = {"origin": browser.origin, "content_type": "multipart/form-data; boundary=bb"}
    return {"headers": headers, "body": f"{body}--bb--\r\n".encode()}


async def test_a_file_is_uploaded_and_its_link_is_sent(rich: World, browser: Browser) -> None:
    form = await form_of(browser)
    assert "file.pictures.0" in form.files
    asked = in_parts(browser, form)
    sent = await browser._ask("POST", PAGE, **asked)
    assert sent.status == 303, sent.body.decode()
    again = await browser._ask("POST", PAGE, **asked)
    assert again.headers["location"] == sent.headers["location"]  # its answer was lost: it is the same run
    files = (await rich.get("/v1/files")).json()["results"]
    assert [one["name"] for one in files] == ["été.png"]
    assert files[0]["content_type"] == "image/png"
    assert (await last_input(rich))["pictures"] == [files[0]["urls"]["get"]]


async def test_a_double_click_on_a_form_with_a_file_makes_one_run(rich: World, browser: Browser) -> None:
    """Without scripts a browser sends the form a second time while the first one is still being read."""
    asked = in_parts(browser, await form_of(browser))
    found: list[str] = []

    async def click() -> None:
        found.append((await browser._ask("POST", PAGE, **asked)).headers.get("location", ""))

    async with anyio.create_task_group() as clicks:
        for _ in range(3):
            clicks.start_soon(click)
    assert len(set(found)) == 1
    assert found[0]
    assert len((await rich.get("/v1/files")).json()["results"]) == 1
    assert len((await rich.get("/v1/predictions")).json()["results"]) == 1


async def test_links_fill_the_form_in(rich: World, browser: Browser) -> None:
    assert values(await form_of(browser, f"{PAGE}?example=1"))["input.prompt"] == "a lake"
    shared = await press(
        browser, await form_of(browser), {"share": "1"}, **{"input.prompt": "a&b", "input.token": "s3cret"}
    )
    assert shared.status == 303
    assert "s3cret" not in shared.headers["location"]
    assert values(await form_of(browser, shared.headers["location"]))["input.prompt"] == "a&b"
    wrong = await browser.get(f"{PAGE}?input=%5B1%5D")
    assert b"not a JSON object" in wrong.body


async def test_schema_texts_are_text(rich: World, browser: Browser) -> None:
    for tab in ("", "/api", "/examples", "/versions", "/runs", "/settings"):
        shown = await browser.get(PAGE + tab)
        assert shown.status == 200, (tab, shown.body)
        assert b"<script>alert" not in shown.body
        twin = await browser.get(f"{PAGE}{tab}.json")
        assert twin.status == 200
        assert twin.json()["model"]["name"] == "rich"


async def test_another_account_sees_no_run(rich: World, browser: Browser) -> None:
    made = (await rich.post("/v1/predictions", {"version": "acme/rich", "input": {"prompt": "mine"}})).json()
    other = await Browser(rich).signed_in(rich.other_token)
    refused = await other.get(f"{PAGE}?prediction={made['id']}")
    assert refused.status == 404
    assert b"mine" not in (await other.get(f"{PAGE}/runs")).body


async def test_the_runs_of_a_model_and_how_long_they_take(rich: World, browser: Browser) -> None:
    other = await rich.create("acme/echo")
    mine = (await rich.post("/v1/predictions", {"version": "acme/rich", "input": {"prompt": "x"}})).json()
    await rich.run(mine["id"])
    twin = (await browser.get(f"{PAGE}/runs.json")).json()
    assert [one["id"] for one in twin["predictions"]["results"]] == [mine["id"]]
    assert twin["summary"]["statuses"]["succeeded"] == 1
    page = await browser.get(f"{PAGE}/runs")
    assert mine["id"].encode() in page.body
    assert other["id"].encode() not in page.body
    assert b"usually" in (await browser.get(PAGE)).body


async def test_another_refusal_keeps_what_was_typed(rich: World) -> None:
    token, _ = await rich.keys.issue("alice", "reads", frozenset({Scope.READ}))
    browser = await Browser(rich).signed_in(token)
    form = await form_of(browser)
    shown = await press(browser, form, {"run": "1"}, **{"input.prompt": "kept"})
    assert shown.status == 403
    assert b"This key may not run models." in shown.body
    assert values(HtmlForm(shown.body.decode()))["input.prompt"] == "kept"
    assert b"data-notice" in shown.body
    as_json = await browser.post(PAGE, dict(form.posted_with({"input.prompt": "x"})), accept="application/json")
    assert as_json.status == shown.status
    assert as_json.json()["problem"]["detail"]


async def test_two_hundred_inputs_and_a_schema_without_end(world: World, browser: Browser) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "x": {"type": "integer"}}}
    inputs = {f"in_{number}": {"type": "string"} for number in range(200)}
    inputs["node"] = {"$ref": "#/components/schemas/Node"}
    document = json.loads(schema(inputs, more={"Node": node}))
    await add(world, "acme/rich", document)
    form = await form_of(browser)
    deep = {"next": {"next": {"next": {"next": {"next": {"x": 1}}}}}}
    found = await browser.get(f"{PAGE}?input={json.dumps({'node': deep, 'in_150': 'here'})}".replace(" ", ""))
    filled = HtmlForm(found.body.decode())
    sent = await press(browser, filled, {"run": "1"})
    assert sent.status == 303
    assert await last_input(world) == {"node": deep, "in_150": "here"}
    assert len([name for name in form.labels if name.startswith("input.in_")]) == 200


@pytest.mark.parametrize("button", ["switch", "run", "share"])
@pytest.mark.parametrize("inside", ["[" * 900 + "]" * 900, "[" + "1," * 60_000 + "1]"])
@pytest.mark.usefixtures("rich")
async def test_an_input_too_large_for_a_page_is_refused_at_once(browser: Browser, button: str, inside: str) -> None:
    text = f'{{"other": {inside}}}'
    answer = await browser.upload(PAGE, "a", b"", part="no", fields={"view": "json", "input": text, button: "1"})
    assert answer.status in (200, 422)
    assert b"A form takes at most" in answer.body
    assert inside.encode() in answer.body  # nothing typed is lost


@pytest.mark.usefixtures("rich")
async def test_a_large_file_inside_the_input_is_one_value(browser: Browser) -> None:
    text = json.dumps({"prompt": "," * 200_000})
    answer = await browser.upload(PAGE, "a", b"", part="no", fields={"view": "json", "input": text, "run": "1"})
    assert answer.status == 303
