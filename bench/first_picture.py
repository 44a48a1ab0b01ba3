"""From the README to a first picture in the browser, as a stranger goes: python bench/first_picture.py [--fresh].

Counts the steps, and prints when each was done. With --fresh the checkout is cloned first and everything is installed
again, which depends on the network; without it the environment is the one that is here.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/browser"), str(ROOT / "tests/e2e")]

from chromium import Chromium, installed  # noqa: E402
from demo import Demo  # noqa: E402

PICTURE = (
    """() => [...document.querySelectorAll("[data-output] img")].some((one) => one.complete && one.naturalWidth)"""
)
PROMPT = "moonlit desert at night"


class Steps:
    """What a person does, numbered, with the seconds since the first step began."""

    def __init__(self):
        self.began, self.number = time.perf_counter(), 0

    def done(self, text):
        self.number += 1
        print(f"{self.number}. {text:58}{time.perf_counter() - self.began:8.1f} s", flush=True)


def commands_of_readme():
    """The commands before the first picture, which stand at the top of the README."""
    found = re.search(r"^ {4}(scripts/demo)\b", (ROOT / "README.md").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("README.md does not begin with scripts/demo")
    return [found[1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="clone and install first")
    options = parser.parse_args()
    if not installed():
        raise SystemExit("no browser: scripts/install browser")
    (command,) = commands_of_readme()
    with tempfile.TemporaryDirectory() as temporary, Chromium() as chromium:
        home, checkout = Path(temporary) / "home", ROOT
        home.mkdir()
        steps = Steps()
        if options.fresh:
            checkout = Path(temporary) / "halley"
            subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
            steps.done("git clone")
        with Demo(home, command=(str(checkout / command),)) as demo:
            link = demo.link()
            steps.done(command)
            with chromium.open(demo.url) as tab:
                tab.goto(link)
                steps.done("open the printed link: the dashboard is there")
                tab.click("main >> text=Run demo/paint")
                tab.shows('[name="input.prompt"]')
                steps.done("choose the first step, Run demo/paint")
                tab.fill('[name="input.prompt"]', PROMPT)
                tab.click("form[data-play] button.primary")
                tab.until(PICTURE)
                steps.done("type a prompt and press Run: the picture is there")
    print(f"{steps.number} steps; a person's own time for reading and typing comes on top")


if __name__ == "__main__":
    main()
