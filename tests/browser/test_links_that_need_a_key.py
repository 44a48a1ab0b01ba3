"""Pictures show on every page, also while a prediction runs, on a server whose links to output files need a key."""

from pathlib import Path

import pytest
from chromium import Chromium
from process import Halley
from signed_in import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]
LOADED = """(where) => {
  const all = [...document.querySelectorAll(where)];
  for (const one of all) one.scrollIntoView();
  return all.length && all.every((one) => one.complete && one.naturalWidth) && all.map((one) => one.src).join(" ");
}"""


def test_pictures_show(chromium: Chromium, tmp_path: Path) -> None:
    with (
        Halley(tmp_path, config="[quirks]\noutput_links_need_key = true\n") as server,
        chromium.open(server.url) as tab,
    ):
        sign_in(tab, server.key)
        tab.goto("/ui/models/demo/paint")
        tab.fill('[name="input.prompt"]', "a lake")
        tab.click("form[data-play] button.primary")
        tab.until(LOADED, "[data-output] img")  # as it is painted
        tab.until("() => !document.querySelector('[data-follow]')")
        run = tab.url.partition("prediction=")[2]
        pages = (
            "",
            "/gallery",
            f"/predictions/{run}",
            f"/compare?a={run}&b={run}",
            f"/models/demo/paint?prediction={run}",
        )
        for page in pages:
            tab.goto(f"/ui{page}")
            shown = tab.until(LOADED, "main img")
            assert all("/ui/d/" in one and server.key not in one for one in shown.split())
        tab.click("[data-output] a[data-zoom]")
        tab.until(LOADED, "dialog img")
        assert tab.problems() == []
