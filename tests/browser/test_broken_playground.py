"""What the playground says and keeps when the server, the key, the model or the line under it breaks."""

from collections.abc import Iterator

import pytest
from chromium import Chromium, Tab
from process import Halley
from signed_in import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]
TEXT = "a text that must not be lost"
MODEL = """
from cog import BasePredictor

class Predictor(BasePredictor):
    def predict(self, prompt: str) -> str:
        return prompt[::-1]
"""
BADGE = "(word) => document.querySelector('#result .badge')?.dataset.status === word"


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> Iterator[Halley]:
    """With a model of its own beside the demo's. Tests stop it and start it again."""
    home = tmp_path_factory.mktemp("broken")
    folder = home / "mirror"
    folder.mkdir()
    (folder / "predict.py").write_text(MODEL)
    (folder / "cog.yaml").write_text('predict: "predict.py:Predictor"\n')
    with Halley(home, str(folder)) as server:
        yield server


def press_run(tab: Tab) -> None:
    tab.click("form[data-play] button.primary")


def test_a_run_is_followed_through_a_kill_and_another_start(chromium: Chromium, halley: Halley) -> None:
    with chromium.open(halley.url) as tab:
        sign_in(tab, halley.key)
        tab.goto('/ui/models/demo/text?input={"prompt":"A","max_tokens":600,"delay":0.05}')
        press_run(tab)
        tab.until("() => document.querySelector('#result [data-output] pre')?.textContent.length > 40")
        tab.fill('[name="input.prompt"]', TEXT)
        halley.kill()
        tab.until_text("Not live: trying again", "[data-said]")
        press_run(tab)
        tab.until_text("No connection. Nothing typed is lost", "[data-play-said]")
        halley.start()
        tab.until("() => !document.querySelector('[data-said]').textContent.includes('Not live')")
        press_run(tab)  # the same text, to the server that is back
        tab.until("() => document.querySelector('#result [data-output] pre')?.textContent.length > 40")
        tab.click("[data-cancel] button")
        tab.until(BADGE, "canceled")
        assert tab.evaluate("() => document.querySelector('[name=\"input.prompt\"]').value") == TEXT
        assert all("console: Failed to load resource" in one for one in tab.problems())


def test_a_revoked_key_is_said_and_another_sign_in_goes_on_with_the_form(chromium: Chromium, halley: Halley) -> None:
    _, _, made = halley.call("POST", "/v1/keys", {"username": "alice", "name": "alice"})
    with chromium.open(halley.url) as tab:
        sign_in(tab, made["token"])
        tab.goto('/ui/models/demo/sleep?input={"seconds":60}')
        press_run(tab)
        tab.until(BADGE, "processing")
        first = tab.url.rpartition("=")[2]
        tab.fill('[name="input.seconds"]', "0.25")
        halley.call("DELETE", f"/v1/keys/{made['id']}")
        tab.until_text("your key was revoked", "[data-said]")
        tab.until(BADGE, "unknown")
        tab.evaluate("() => { const now = performance.now(); performance.now = () => now; }")  # however fast it is
        press_run(tab)
        tab.until_text("Nothing typed is lost", "[data-play-said]")
        key = halley.account("alice")
        halley.call("POST", f"/v1/predictions/{first}/cancel", key=key)
        sign_in(tab.beside(), key)
        press_run(tab)  # with the token of the new sign-in
        tab.until(BADGE, "succeeded")
        tab.until_text("slept for 0.25 s", "[data-output]")


def test_two_tabs_and_a_slow_line_keep_to_themselves(chromium: Chromium, halley: Halley) -> None:
    with chromium.open(halley.url) as tab:
        sign_in(tab, halley.key)
        other = tab.beside()
        for one, text in ((tab, "first"), (other, "second")):
            one.goto("/ui/models/local/mirror")
            one.fill('[name="input.prompt"]', text)
        tab.debugger(
            "Network.emulateNetworkConditions",
            offline=False,
            latency=300,
            downloadThroughput=20_000,
            uploadThroughput=20_000,
        )
        press_run(tab)
        tab.fill('[name="input.prompt"]', TEXT)  # while it is sent
        press_run(other)
        other.until_text("dnoces", "[data-output]")
        tab.until_text("tsrif", "[data-output]")
        assert tab.evaluate("() => document.querySelector('[name=\"input.prompt\"]').value") == TEXT
        assert tab.path != other.path
        assert tab.problems() + other.problems() == []


def test_without_a_stream_the_page_polls(chromium: Chromium, halley: Halley) -> None:
    with chromium.open(halley.url) as tab:
        sign_in(tab, halley.key)
        tab.goto('/ui/models/demo/sleep?input={"seconds":1}')
        tab.debugger("Network.enable")
        tab.debugger("Network.setBlockedURLs", urls=["*/events?*"])  # as by a proxy that lets no stream through
        press_run(tab)
        tab.until(BADGE, "succeeded")
        tab.until_text("slept for 1 s", "[data-output]")


def test_a_model_that_is_gone_is_said(chromium: Chromium, halley: Halley) -> None:
    with chromium.open(halley.url) as tab:
        sign_in(tab, halley.key)
        tab.goto("/ui/models/local/mirror")
        tab.fill('[name="input.prompt"]', TEXT)
        halley.stop()
        with Halley(halley.home, port=halley.port):
            press_run(tab)
            tab.until_text("Models that can run", "[data-play-said]")
            assert tab.evaluate("() => document.querySelector('[name=\"input.prompt\"]').value") == TEXT
        halley.start()
