"""Outputs of 10,000 files, 50 MB of text and a log of 16 MiB, on every page that shows them, in a real browser.

scripts/faults pages [--files N] [--text-mb N] [--log-mib N]

Prints for each page its bytes and when it was loaded; ends with 1 if a page is wrong, too wide, or waits for ever. The
browser is installed with scripts/install browser.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

BROWSER: Final = Path(__file__).resolve().parents[1] / "browser"
sys.path[:0] = [str(BROWSER), str(BROWSER / "models/hostile")]

from chromium import Chromium, Tab, installed  # noqa: E402
from process import Halley  # noqa: E402
from signed_in import sign_in  # noqa: E402

MODEL: Final = "flood/flood"
CONFIG: Final = f"""
[limits]
log_bytes = "32MiB"
output_bytes = "64MiB"

[models."{MODEL}"]
path = {json.dumps(str(BROWSER / "models/flood"))}
env = "current"
"""
MOST_BYTES: Final = 4 * 2**20  # of one page, whatever the prediction gave
MOST_SECONDS: Final = 20.0
ENDED: Final = """() => ["succeeded", "failed"].find((word) =>
  document.querySelector("#result .badge")?.innerText.includes(word))"""
TABS: Final = ("output", "input", "logs", "timeline", "assets", "request", "json")


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--text-mb", type=int, default=50)
    parser.add_argument("--log-mib", type=int, default=16)
    given = parser.parse_args()
    if not installed():
        print("no browser: scripts/install browser")
        return 2
    inputs = (
        {"files": given.files},
        {"text_bytes": given.text_mb * 10**6},
        {"log_bytes": given.log_mib * 2**20},
    )
    faults: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="halley-pages-") as home,
        Chromium() as chromium,
        Halley(Path(home), config=CONFIG) as server,
        chromium.open(server.url) as tab,
    ):
        sign_in(tab, server.key)
        for values in inputs:
            faults += watch(tab, values)
            run = tab.url.partition("prediction=")[2].partition("&")[0]
            for name in TABS:
                faults += load(tab, f"/ui/predictions/{run}?tab={name}")
            shown = server.call("GET", f"/v1/predictions/{run}")[2]
            faults += load(tab, shown["urls"]["web"].removeprefix(server.url))
        for path in ("/ui", "/ui/predictions", f"/ui/models/{MODEL}/runs", f"/ui/gallery?model={MODEL}"):
            faults += load(tab, path)
    print("\n".join(faults) or "no fault")
    return 1 if faults else 0


def watch(tab: Tab, values: dict[str, int]) -> list[str]:
    """Run it from the playground, and wait until the page shows the end."""
    tab.goto(f"/ui/models/{MODEL}")
    tab.evaluate("() => document.querySelectorAll('form details').forEach((one) => { one.open = true; })")
    for name, value in values.items():
        tab.fill(f'[name="input.{name}"]', str(value))
    began = time.monotonic()
    tab.click("form[data-play] button.primary")
    status = tab.until(ENDED, seconds=300)
    print(f"{values}: {status} after {time.monotonic() - began:.1f} s", flush=True)
    faults = [f"{values}: {one}" for one in (*tab.problems(), *tab.overflow())]
    return faults if status == "succeeded" else [*faults, f"{values}: {status}: {tab.text('#result')[:300]}"]


def load(tab: Tab, path: str) -> list[str]:
    began = time.monotonic()
    status = tab.goto(path)
    seconds = time.monotonic() - began
    size = int(tab.evaluate("() => document.documentElement.outerHTML.length"))
    print(f"{path.partition('?t=')[0]:70}{size:>10} characters {seconds:6.2f} s", flush=True)
    faults = [*tab.problems(), *tab.overflow()]
    faults += [f"answered with {status}"] if status != 200 else []
    faults += [f"has {size} characters"] if size > MOST_BYTES else []
    faults += [f"took {seconds:.0f} s"] if seconds > MOST_SECONDS else []
    return [f"{path}: {one}" for one in faults]


if __name__ == "__main__":
    sys.exit(main())
