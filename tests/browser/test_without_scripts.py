"""The dashboard without any script: forms post, links lead, and refused input comes back with its reason."""

from collections.abc import Iterator

import pytest
from chromium import Chromium, Tab
from process import Halley
from signed_in import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

RUN = "form[data-play] button.primary"
STATE = "() => document.querySelector('#result .badge')?.innerText.trim()"


@pytest.fixture(scope="module")
def halley(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("scriptless")) as server:
        yield server


@pytest.fixture
def tab(chromium: Chromium, halley: Halley) -> Iterator[Tab]:
    """Scripts are not loaded. (They are not switched off: the driver's own could not run either.)"""
    with chromium.open(halley.url) as opened:
        opened.debugger("Network.enable")
        opened.debugger("Network.setBlockedURLs", urls=["*.js"])
        sign_in(opened, halley.key)
        yield opened


def reloaded(tab: Tab, state: str) -> None:
    """Load the page again, as its refresh does without scripts, until the run is in that state."""
    for _ in range(200):
        if tab.evaluate(STATE) == state:
            return
        tab.page("reload")
    raise AssertionError(f"{tab.evaluate(STATE)} is not {state}")


def test_run_and_cancel(tab: Tab) -> None:
    tab.goto("/ui/models/demo/paint")
    tab.fill('[name="input.prompt"]', "a cabin in the snow")
    tab.click(RUN)
    reloaded(tab, "succeeded")
    tab.until("() => document.querySelector('[data-output] img').naturalWidth > 0")
    tab.click("text=Change the input")
    assert tab.path.startswith("/ui/models/demo/paint?")
    assert tab.at('[name="input.prompt"]', "inputValue") == "a cabin in the snow"

    tab.goto("/ui/models/demo/sleep")
    tab.fill('[name="input.seconds"]', "600")
    tab.click(RUN)
    reloaded(tab, "processing")
    run = tab.path.split("/")[3]
    tab.click("#result button.danger")
    assert run in tab.url
    tab.goto(f"/ui/predictions/{run}")
    assert "canceled" in tab.text("#head")


def test_refused_input_comes_back(tab: Tab) -> None:
    tab.goto("/ui/models/demo/sleep")
    tab.fill('[name="input.seconds"]', "99999")
    tab.click(RUN)
    assert tab.at('[name="input.seconds"]', "inputValue") == "99999"
    assert "3600" in tab.text("#problems")


def test_keys_and_filters(tab: Tab, halley: Halley) -> None:
    halley.call("POST", "/v1/models/demo/fail/predictions", {"input": {}}, headers={"Prefer": "wait"})
    tab.goto("/ui/predictions")
    tab.click("text=Failed today")
    assert "failed" in tab.text("main table")
    assert "succeeded" not in tab.text("main table")
    tab.goto("/ui/keys")
    tab.fill("#name", "without scripts")
    tab.click("main >> text=Create the key")
    assert tab.text("#token").startswith("hly_")
    tab.click("text=Sign out")
    assert tab.path.startswith("/ui/sign-in")
