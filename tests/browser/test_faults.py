"""Faults under an open page: it says what is true, loses nothing that was typed, and does not wait for ever."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, Tab
from cutting_proxy import CuttingProxy
from process import Halley
from signed_in import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

WIDE = Path(__file__).parent / "models" / "wide"
CONFIG = f"""
[models."wide/wide"]
path = {json.dumps(str(WIDE))}
env = "current"
"""
TYPED = "typed, and not sent yet"
RUN = "form[data-play] button.primary"
PROMPT = '[name="input.prompt"]'
OPEN = "() => document.querySelectorAll('form details').forEach((one) => { one.open = true; })"
SAID = "[data-play-said]"
REFRESH = """() => import(document.querySelector("script[src*='app.js']").src).then((app) => app.refresh())"""
# the second click of a double click, when the answer to the first one is there; the clock stands still meanwhile
SLOWLY = """async (where) => {
  const [button, was] = [document.querySelector(where), location.href];
  performance.now = () => 1e6;
  button.click();
  while (location.href === was) await new Promise((go) => setTimeout(go, 5));
  await new Promise((go) => setTimeout(go, 50));
  document.querySelector(where).click();
  delete performance.now;
}"""
HELD = """(where) => {
  const button = document.querySelector(where);
  button.focus();
  for (const repeat of [false, true, true, true]) {
    button.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, repeat, bubbles: true }));
  }
}"""


@pytest.fixture(scope="module")
def halley(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("faults"), config=CONFIG) as server:
        yield server


@pytest.fixture
def tab(chromium: Chromium, halley: Halley) -> Iterator[Tab]:
    if halley.process is None or halley.process.poll() is not None:
        halley.start()  # a test failed after it had killed the server
    with chromium.open(halley.url) as opened:
        sign_in(opened, halley.key)
        yield opened


def badge(tab: Tab, *words: str) -> None:
    script = "(words) => words.includes(document.querySelector('#result .badge')?.innerText.trim())"
    tab.until(script, list(words))


def test_server_restarted_under_a_run(tab: Tab, halley: Halley) -> None:
    """The page follows the run through a kill of the server, and says that it is not connected meanwhile."""
    tab.goto("/ui/models/demo/sleep")
    tab.fill('[name="input.seconds"]', "2")
    tab.click(RUN)
    badge(tab, "processing")
    halley.kill()
    tab.fill('[name="input.seconds"]', "77")
    tab.until("() => document.querySelector('#result [role=status]').innerText.startsWith('Not live')")
    halley.start()
    badge(tab, "succeeded", "failed")  # a second attempt, since nothing was published
    assert tab.at('[name="input.seconds"]', "inputValue") == "77"


def test_run_without_a_server(tab: Tab, halley: Halley) -> None:
    tab.goto("/ui/models/demo/text")
    tab.fill(PROMPT, TYPED)
    halley.kill()
    tab.click(RUN)
    tab.until_text("No connection", SAID)
    assert tab.at(PROMPT, "inputValue") == TYPED
    halley.start()
    tab.click(RUN)
    badge(tab, "succeeded")


def test_one_prediction_of_a_form_that_is_sent_twice(tab: Tab, halley: Halley) -> None:
    """A double click, Enter twice, and Enter held down run once; so does a form that is sent again without scripts."""

    def made() -> int:
        return len(halley.call("GET", "/v1/predictions?model=demo/text&limit=100")[2]["results"])

    before = made()
    for number, again in enumerate(("dblclick", "slowly", "Enter", "held", "posted")):
        tab.goto("/ui/models/demo/text")
        tab.fill(PROMPT, f"{again} {number}")
        if again == "dblclick":
            tab.at(RUN, "dblclick")
        elif again == "slowly":  # the second click comes when the answer to the first is there
            tab.evaluate(SLOWLY, RUN)
        elif again == "Enter":
            tab.evaluate("(where) => document.querySelector(where).focus()", RUN)
            tab.press("Enter")
            tab.press("Enter")
        elif again == "held":
            tab.evaluate(HELD, RUN)
        else:
            tab.evaluate("(where) => { for (const _ of [1, 2]) document.querySelector(where).form.submit(); }", RUN)
            tab.until("() => location.pathname.endsWith('/output')")
        badge(tab, "succeeded")
        assert (again, made()) == (again, before + number + 1)
    for count in (6, 7):  # each press after an answer is a run of its own, also of the same input
        tab.goto("/ui/models/demo/text") if count == 6 else tab.page("waitForTimeout", 450)
        tab.fill(PROMPT, "The same")
        was = tab.url
        tab.click(RUN)
        tab.until("(was) => location.href !== was", was)
        badge(tab, "succeeded")
        assert made() == before + count


def test_mistakes_are_said_and_forgotten_when_it_runs(tab: Tab) -> None:
    tab.goto("/ui/models/demo/text")
    tab.click("form[data-play] button[value=json]")
    where = "#input-json"
    tab.shows(where)
    for text, said in (
        ('{"prompt": "a", }', "trailing comma"),
        ('{"prompt": "a", "prompt": "b"}', "the same name twice"),
        ("[1]", "not a JSON object"),
        ('{"prompt": "a", "max_tokens": "x"}', "max_tokens"),
    ):
        tab.fill(where, text)
        tab.click(RUN)
        tab.until_text(said, "#problems")
        assert tab.at(where, "inputValue") == text
    tab.fill(where, '{"prompt": "The import statement"}')
    tab.click(RUN)
    badge(tab, "succeeded")
    assert tab.count("#problems, form[data-play] .error, form[data-play] [aria-invalid]") == 0
    assert tab.count("[data-typical]") <= 1  # each answer brought its own


def test_home_after_a_restart(tab: Tab, halley: Halley) -> None:
    """Live regions: the page says that it is not live, and is live again by itself."""
    tab.goto("/ui")
    halley.kill()
    tab.until_text("Not live", "[data-live-words]")
    halley.start()
    status, _, made = halley.call("POST", "/v1/models/demo/noop/predictions", {"input": {}}, headers={"Prefer": "wait"})
    assert status == 201
    tab.until_text(made["id"][-6:], "#latest")
    tab.until("() => document.querySelector('[data-live-words]').innerText === ''")


def test_what_is_opened_and_scrolled_stays_so_in_a_live_region(tab: Tab, halley: Halley) -> None:
    def run(model: str) -> str:
        made = halley.call("POST", f"/v1/models/{model}/predictions", {"input": {}}, headers={"Prefer": "wait"})
        return str(made[2]["id"])[-6:]

    run("demo/fail")
    tab.goto("/ui/errors")
    tab.click("#errors summary")
    shown = tab.text("#chart-title")
    run("demo/fail")
    tab.evaluate(REFRESH)
    assert tab.text("#chart-title") != shown
    assert tab.evaluate("() => document.querySelector('#errors details').open")
    tab.resize(360)
    tab.goto("/ui/predictions")
    tab.evaluate("() => { document.querySelector('main [data-live] .scroll').scrollLeft = 90; }")
    tab.until_text(run("demo/noop"))
    assert tab.evaluate("() => document.querySelector('main [data-live] .scroll').scrollLeft") == 90


def test_key_revoked_under_open_pages(chromium: Chromium, halley: Halley) -> None:
    _, _, key = halley.call("POST", "/v1/keys", {"username": "other", "name": "to be revoked"})
    with chromium.open(halley.url) as tab:
        sign_in(tab, key["token"])
        home = tab.beside()
        home.goto("/ui")
        filtered = tab.beside()
        filtered.goto("/ui/predictions")
        filtered.fill("#q", TYPED)
        tab.goto("/ui/models/demo/text")
        tab.fill(PROMPT, TYPED)
        assert halley.call("DELETE", f"/v1/keys/{key['id']}")[0] == 204
        tab.click(RUN)
        tab.until_text("signed out, or your key was revoked", SAID)
        assert tab.at(PROMPT, "inputValue") == TYPED
        # the other tab shows nothing of the account any more
        home.until("() => location.pathname.endsWith('/sign-in')")
        filtered.until_text("You are signed out", "[data-live-words]")
        assert (filtered.at("#q", "inputValue"), filtered.count("main tbody tr")) == (TYPED, 0)


def test_two_tabs(tab: Tab) -> None:
    """What one tab runs appears in the other; signing out in one is noticed in the other, and nothing typed is lost."""
    home = tab.beside()
    home.goto("/ui")
    tab.goto("/ui/models/demo/text")
    tab.fill(PROMPT, "The import statement")
    tab.click(RUN)
    badge(tab, "succeeded")
    run = tab.url.partition("prediction=")[2]
    home.until_text(run[-6:], "#latest")
    home.click("text=Sign out")
    home.until("() => location.pathname.endsWith('/sign-in')")
    tab.fill(PROMPT, TYPED)
    tab.click(RUN)
    tab.until_text("signed out", SAID)
    assert tab.at(PROMPT, "inputValue") == TYPED


def test_streams_cut_in_the_middle(chromium: Chromium, halley: Halley) -> None:
    """The text is whole, and nothing is there twice, although each stream breaks in the middle of an event."""
    with CuttingProxy(halley.port, lambda _, visit: 6 if visit < 3 else None) as proxy:
        with chromium.open(proxy.url) as tab:
            sign_in(tab, halley.key)
            tab.goto("/ui/models/demo/text")
            tab.evaluate(OPEN)
            tab.fill(PROMPT, "The import statement")
            tab.fill('[name="input.max_tokens"]', "60")
            tab.fill('[name="input.delay"]', "0.05")
            tab.click(RUN)
            badge(tab, "succeeded")
            run = tab.url.partition("prediction=")[2]
            whole = "".join(halley.call("GET", f"/v1/predictions/{run}")[2]["output"])
            tab.until("(text) => document.querySelector('#result-text').textContent.trim() === text", whole.strip())
        assert proxy.cuts


def test_slow_link(tab: Tab) -> None:
    tab.debugger("Network.enable")
    slow = {"offline": False, "latency": 300, "downloadThroughput": 30_000, "uploadThroughput": 15_000}
    tab.debugger("Network.emulateNetworkConditions", **slow)
    tab.goto("/ui/models/demo/paint")
    tab.fill(PROMPT, "a lake")
    tab.click(RUN)
    tab.until(
        "() => [...document.querySelectorAll('[data-output] img')].some((one) => one.complete && one.naturalWidth)",
    )
    assert tab.problems() == []


def test_two_hundred_inputs(tab: Tab, halley: Halley) -> None:
    """Names that JavaScript's objects have by themselves are names like all others, also through the JSON view."""
    tab.goto("/ui/models/wide/wide")
    tab.evaluate(OPEN)
    tab.fill('[name="input.__proto__"]', "one")
    tab.fill('[name="input.input_196"]', "two")
    tab.click("form[data-play] button[value=json]")
    tab.until("() => document.querySelector('form[data-play] textarea')?.value.includes('two')")
    tab.click("form[data-play] button[value=form]")
    tab.until("() => document.querySelector('[name=\"input.input_196\"]')?.value === 'two'")
    tab.click(RUN)
    badge(tab, "succeeded")
    run = tab.url.partition("prediction=")[2].partition("&")[0]
    _, _, made = halley.call("GET", f"/v1/predictions/{run}")
    assert (made["input"]["__proto__"], made["input"]["input_196"]) == ("one", "two")
    assert tab.problems() == []


def test_what_a_number_control_cannot_read_is_not_left_out(tab: Tab, halley: Halley) -> None:
    """Such a control has no value: the model would run with its default instead."""
    seed = '[name="input.seed"]'
    tab.goto("/ui/models/demo/text")
    tab.fill(PROMPT, TYPED)
    for where in (RUN, "form[data-play] button[value=json]"):
        tab.evaluate("() => document.querySelectorAll('form details').forEach((one) => { one.open = true; })")
        tab.at(seed, "fill", "")
        tab.at(seed, "focus")
        tab.type("5-e")
        tab.evaluate("() => document.querySelectorAll('form details').forEach((one) => { one.open = false; })")
        tab.click(where)
        tab.until_text("Seed is not complete", SAID)
        assert tab.evaluate("() => document.activeElement.name") == "input.seed"
    assert "prediction=" not in tab.url
    tab.fill(seed, "5")
    tab.click(RUN)
    badge(tab, "succeeded")
    run = tab.url.partition("prediction=")[2].partition("&")[0]
    assert halley.call("GET", f"/v1/predictions/{run}")[2]["input"]["seed"] == 5


def test_a_picture_without_an_input_takes_nothing_away(tab: Tab) -> None:
    """It was dropped beside the field that was meant, for example."""
    tab.goto("/ui/models/demo/paint")
    tab.fill(PROMPT, TYPED)
    tab.evaluate("""() => {
      const put = new DataTransfer();
      put.items.add(new File(["x"], "photo.png", { type: "image/png" }));
      const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: put });
      document.querySelector("form[data-play] h2").dispatchEvent(event);
    }""")
    tab.until_text("This picture carries no input.", SAID)
    assert tab.at(PROMPT, "inputValue") == TYPED


def test_the_code_has_a_link_in_place_of_a_file_that_was_not_sent_yet(tab: Tab) -> None:
    tab.goto("/ui/models/demo/upscale")
    tab.evaluate("""() => {
      const put = new DataTransfer();
      put.items.add(new File(["x"], "a b.png", { type: "image/png" }));
      const place = document.querySelector("[data-file]");
      place.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: put }));
      document.getElementById("code").open = true;
    }""")
    tab.until_text("https://example.com/a%20b.png", "#code")
    tab.until_text("Not in the code: the value of image", "#code")


def test_model_removed_under_its_page(tab: Tab, halley: Halley) -> None:
    """The last test: the server is without the model from then on."""
    tab.goto("/ui/models/wide/wide")
    tab.evaluate(OPEN)
    tab.fill('[name="input.input_12"]', TYPED)
    halley.kill()
    (halley.home / "halley.toml").write_text("")
    halley.start()
    tab.click(RUN)
    tab.until("(where) => document.querySelector(where).innerText.length > 15", SAID)
    assert tab.at('[name="input.input_12"]', "inputValue") == TYPED
    assert tab.count("form[aria-busy]") == 0
    assert tab.goto("/ui/models/wide/wide") in (200, 404)
    assert tab.text()
