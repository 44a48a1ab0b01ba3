"""What a person does with the dashboard, from the first link to a key for somebody else, in a real browser.

    KEEP_PICTURES=1 .venv/bin/python -m pytest tests/browser/test_path_of_a_person.py

keeps the screenshots as docs/images.
"""

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from chromium import Chromium, Tab
from demo import Demo
from receiver import Receiver
from signed_in import sign_in

from needs import require

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".clients/py1/bin/python"
PROMPT = "a lighthouse in a storm at sea"
PICTURE = """() => {
  const found = [...document.querySelectorAll("[data-output] img")].filter((one) => one.complete && one.naturalWidth);
  return found.length && found[0].src;
}"""
CONFIG = "[webhooks]\nretry_first_seconds = 0.1\nretry_for_seconds = 0.2\n"
Keep = Callable[[Tab, str], None]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Take a screenshot under a name; it stays in docs/images if it is wanted."""
    folder = ROOT / "docs" / "images" if os.environ.get("KEEP_PICTURES") else tmp_path

    def keep(tab: Tab, name: str) -> None:
        from PIL import Image

        tab.screenshot(tmp_path / "screen.png")
        folder.mkdir(exist_ok=True)
        with Image.open(tmp_path / "screen.png") as picture:
            picture.save(folder / f"{name}.webp", quality=80, method=6)

    return keep


def run(tab: Tab, model: str, **given: str) -> str:
    """Fill the form of a model and press Run; returns the id of the prediction."""
    tab.goto(f"/ui/models/{model}")
    for name, value in given.items():
        field = f'form[data-play] [name="input.{name}"]'
        if tab.evaluate("(where) => document.querySelector(where).tagName", field) == "SELECT":
            tab.at(field, "selectOption", {"label": value})
        else:
            tab.fill(field, value)
    tab.click("form[data-play] button.primary")
    tab.until("() => new URLSearchParams(location.search).has('prediction')")
    return tab.url.partition("prediction=")[2].partition("&")[0]


def ended(tab: Tab, status: str) -> None:
    tab.until("(word) => document.querySelector('#result .badge')?.innerText.includes(word)", status)


def test_path(chromium: Chromium, tmp_path: Path, keep: Keep) -> None:
    require(PYTHON.exists(), "the Python client: scripts/install py1")
    with (
        Receiver() as receiver,
        Demo(tmp_path, config=CONFIG) as demo,
        chromium.open(demo.url, height=800, permissions=("clipboard-read", "clipboard-write")) as tab,
    ):
        tab.goto(demo.link())
        assert tab.path == "/ui"
        tab.shows("text=Latest predictions")
        keep(tab, "home")

        watch_the_first_picture(tab, keep)
        copy_and_run_the_code(tab, demo, keep)
        compare_two_seeds(tab, keep)
        cancel_a_slow_one(tab)
        find_what_failed_and_run_it_again(tab, keep)
        resend_a_webhook(tab, demo, receiver)
        give_a_key_away(tab, chromium, demo, keep)
        assert tab.problems() == []


def watch_the_first_picture(tab: Tab, keep: Keep) -> None:
    tab.click("nav.main >> text=Models")
    tab.click("main >> text=demo/paint")
    tab.fill('[name="input.prompt"]', PROMPT)
    tab.press("Control+Enter")
    tab.until(PICTURE)
    keep(tab, "playground")


def copy_and_run_the_code(tab: Tab, demo: Demo, keep: Keep) -> None:
    """The shown Python code, as it is copied, run by the official client on its own."""
    tab.click("#code > summary")
    tab.until_text(PROMPT, "#code-text")
    tab.at("#code", "scrollIntoViewIfNeeded")
    tab.click("#code button[data-copy]")
    tab.until_text("Copied", "#code button[data-copy]")
    code = tab.evaluate("() => navigator.clipboard.readText()")
    folder = demo.home / "client"
    folder.mkdir()
    done = subprocess.run(
        [PYTHON, "-c", code],
        env={"PATH": os.environ["PATH"], **demo.env_lines()},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [one.read_bytes()[8:12] for one in folder.iterdir()] == [b"WEBP"]


def compare_two_seeds(tab: Tab, keep: Keep) -> None:
    for seed in ("1", "2"):
        run(tab, "demo/paint", prompt=PROMPT, seed=seed)
        ended(tab, "succeeded")
    tab.click("#result a.mono")
    tab.click("text=Compare with")
    tab.click("section a.mono >> nth=0")
    tab.until("() => document.querySelectorAll('main img').length === 2")
    tab.until("() => [...document.querySelectorAll('main img')].every((one) => one.complete && one.naturalWidth)")
    assert "seed" in tab.text()
    keep(tab, "compare")


def cancel_a_slow_one(tab: Tab) -> None:
    run(tab, "demo/sleep", seconds="600")
    ended(tab, "processing")
    tab.click("[data-cancel] button")
    ended(tab, "canceled")


def find_what_failed_and_run_it_again(tab: Tab, keep: Keep) -> None:
    for mode in ("raise", "raise", "exit"):
        run(tab, "demo/fail", mode=mode)
        ended(tab, "failed")
    tab.click("nav.main >> text=Errors")
    tab.shows("main >> text=this model was asked to fail")
    keep(tab, "errors")
    tab.click("main >> text=this model was asked to fail")
    tab.click("main table a.mono >> nth=0")
    assert "this model was asked to fail, and did" in tab.text("#error")
    keep(tab, "failed")
    first = tab.path
    tab.click("main >> text=Run again")
    tab.until("(before) => location.pathname !== before", first)
    assert first.rpartition("/")[2] in tab.text()  # the new one names the old one


def resend_a_webhook(tab: Tab, demo: Demo, receiver: Receiver) -> None:
    """A program has asked for a webhook, and its receiver has lost it."""
    body = {"input": {}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
    request = urllib.request.Request(
        f"{demo.url}/v1/models/demo/noop/predictions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {demo.env_lines()['REPLICATE_API_TOKEN']}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=120).close()
    receiver.wait(lambda arrived: len(arrived) == 1)
    tab.click("nav.main >> text=Webhooks")
    tab.click("main table a >> nth=0")
    tab.click("main >> text=Resend")
    receiver.wait(lambda arrived: len(arrived) == 2)
    assert len({one.id for one in receiver.arrived}) == 1


def give_a_key_away(tab: Tab, chromium: Chromium, demo: Demo, keep: Keep) -> None:
    tab.click("nav.main >> text=Keys")
    tab.fill("#name", "laptop of a friend")
    tab.fill("#username", "friend")
    tab.click("main >> text=Create the key")
    token = tab.text("#token")
    assert token.startswith("hly_")
    with chromium.open(demo.url, height=800) as friend:
        sign_in(friend, token)
        assert friend.path == "/ui"
        assert friend.count("#latest tbody tr") == 0
        run(friend, "demo/paint", prompt="a cabin in the snow")
        ended(friend, "succeeded")
        friend.goto("/ui")
        assert friend.count("#latest tbody tr") == 1
        assert friend.problems() == []
