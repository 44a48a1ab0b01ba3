"""Scripts stored in prompts, logs, names, outputs, errors, schemas and addresses stay texts in the browser.

`test_every_page` opens every page with them. Here they are counted where they are shown, a run is watched live, and
templates that escape nothing are noticed.
"""

from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from attempts import ATTEMPTS, SHORT
from chromium import Chromium, Tab
from examine import foreign_elements, with_scripts
from furnished import HOSTILE, Furnished, furnish
from hostile_service import JOB, MIRRORED, HostileService
from process import Halley
from signed_in import sign_in

from halley.web.pages.prediction import TABS

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

PLACES: Final = {  # the mark of each place, and the attempts that are there
    **dict.fromkeys(
        ("prompt", "output", "log", "error", "description", "default", "replica-log", "output-key"), ATTEMPTS
    ),
    **dict.fromkeys(("job-description", "job-input", "job-default", "job-prompt", "job-log", "job-output"), ATTEMPTS),
    **dict.fromkeys(("job-error", "refusal", "lost", "upstream-detail", "mirrored", "mirrored-model"), ATTEMPTS),
    **dict.fromkeys(("receiver", "setting", "broken"), ATTEMPTS),
    **dict.fromkeys(("metric", "view", "environment"), SHORT),
    **dict.fromkeys(("webhook", "key ", "tag"), SHORT),
    **dict.fromkeys(("file ", "file-name"), ("onerror=probe(1)", "onerror=probe(3)")),  # signs in them are replaced
}
SHOWN: Final = """() => {
  const with_texts = "input, textarea, option, [placeholder], [title], [alt], [aria-label]";
  const controls = [...document.querySelectorAll(with_texts)];
  const values = controls.flatMap((one) => [one.value, ...["placeholder", "title", "alt", "aria-label"].map((name) =>
    one.getAttribute(name))]);
  return document.body.textContent + values.join(" ");
}"""


def test_attempts_are_shown_as_texts(chromium: Chromium, furnished: Furnished) -> None:
    seen: Counter[str] = Counter()
    runs = furnished.predictions
    paths = [f"/ui/predictions/{runs[one]}" for one in ("texts", "failed", "files", "json")]
    paths += [f"/ui/predictions/{runs['texts']}?tab={tab}" for tab in TABS]
    paths += [f"/ui/predictions/{runs['files']}?tab=assets", f"/ui/models/{HOSTILE}", f"/ui/models/{HOSTILE}/api"]
    paths += ["/ui", "/ui/files", "/ui/keys", "/ui/webhooks", f"/ui/replicas/{HOSTILE}", "/ui/replicas", "/ui/errors"]
    paths += [
        f"/ui/predictions/{runs[one]}" for one in ("job done", "job failed", "job lost", "job refused", "mirrored")
    ]
    paths += [f"/ui/predictions/{runs['job done']}?tab={tab}" for tab in ("logs", "input", "timeline")]
    paths += [f"/ui/models/{one}{end}" for one in (JOB, MIRRORED) for end in ("", "/api", "/versions", "/settings")]
    paths += [
        "/ui/models",
        "/ui/models/hostile/broken",
        "/ui/upstreams",
        f"/ui/routes?model={JOB}",
        "/ui/settings?all=1",
    ]
    paths += [furnished.delivery(), "/ui/predictions"]
    with chromium.open(furnished.server.url) as tab:
        sign_in(tab, furnished.server.key)
        save_views(tab)
        for path in paths:
            tab.goto(path)
            shown = tab.evaluate(SHOWN)
            for place, attempts in PLACES.items():
                if f"mark-{place}" in shown:
                    seen[place] += sum(one in shown for one in attempts)
            assert (path, foreign_elements(tab), tab.problems()) == (path, [], [])
    print(dict(seen))
    missing = set(PLACES) - {place for place, count in seen.items() if count}
    assert not missing, f"no page shows the attempts of {missing}: {seen}"
    assert sum(seen.values()) >= 40


def save_views(tab: Tab) -> None:
    """Views of lists, whose names this browser keeps."""
    for one in SHORT:
        tab.goto("/ui/predictions?status=failed")
        tab.evaluate("() => { document.querySelector('#view-name').closest('details').open = true; }")
        tab.fill("#view-name", f"mark-view {one}")
        tab.press("Enter")
        tab.until_text(f"mark-view {one}")


def test_attempts_while_it_runs(chromium: Chromium, furnished: Furnished) -> None:
    """What scripts of the page put into it while a prediction runs: lines of its log, its progress, its output."""
    with chromium.open(furnished.server.url) as tab:
        sign_in(tab, furnished.server.key)
        tab.goto(f"/ui/models/{HOSTILE}")
        for how in ("slow", "fail", "files", "json"):
            tab.evaluate("() => document.querySelectorAll('form details').forEach((one) => { one.open = true; })")
            tab.at('[name="input.how"]', "selectOption", {"label": how})
            tab.fill('[name="input.prompt"]', " ".join(ATTEMPTS[:20]))
            tab.click("form[data-play] button.primary")
            word = "failed" if how == "fail" else "succeeded"
            tab.until("(word) => document.querySelector('#result .badge')?.innerText.includes(word)", word)
            tab.until("() => !document.querySelector('[data-follow]')")
            assert (how, foreign_elements(tab), tab.problems()) == (how, [], [])
        tab.click("#code > summary")
        tab.until_text("probe('script')", "#code-text")
        assert (foreign_elements(tab), tab.problems()) == ([], [])


def test_templates_that_escape_nothing_are_noticed(chromium: Chromium, tmp_path: Path) -> None:
    unsafe = {"PYTHONPATH": str(Path(__file__).parent / "unsafe")}
    with (
        HostileService() as service,
        Halley(tmp_path, config=Furnished.config(service, tmp_path), environment=unsafe) as server,
    ):
        furnished = furnish(server, service)
        path = f"/ui/predictions/{furnished.predictions['texts']}"
        with chromium.open(server.url) as tab:
            sign_in(tab, server.key)
            faults = "\n".join(with_scripts(tab, path))
        assert "POLICY" in faults
        assert "foreign element" in faults
        with chromium.open(server.url, bypass_policy=True) as tab:
            sign_in(tab, server.key)
            tab.goto(path)
            assert any("EXECUTED" in one for one in tab.problems())
        server.call("POST", f"/v1/predictions/{furnished.predictions['running']}/cancel")
