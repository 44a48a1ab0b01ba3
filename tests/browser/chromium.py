"""A real browser for tests: one Chromium, driven through js/driver.mjs, with tabs that collect what they did wrong."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

DRIVER: Final = Path(__file__).parent / "js" / "driver.mjs"
PATIENCE_SECONDS: Final = 120.0
PHONE: Final = 360  # CSS pixels: the narrowest screen that the pages promise

_OVERFLOW: Final = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const clipped = (one) => {
    for (let at = one.parentElement; at && at !== document.body; at = at.parentElement)
      if (getComputedStyle(at).overflowX !== "visible" && getComputedStyle(one).position !== "absolute") return true;
    return false;
  };
  const wide = [...document.body.querySelectorAll("*")].filter((one) =>
    one.getBoundingClientRect().right > root.clientWidth + 1 && !clipped(one));
  return [`${root.scrollWidth} of ${root.clientWidth} px`, ...wide.slice(0, 5).map((one) =>
    `${one.tagName.toLowerCase()}.${one.className} ${one.textContent.trim().slice(0, 40)}`)];
}"""


def installed() -> bool:
    """Whether Chromium, Node.js and the driver's packages are here."""
    return bool(
        shutil.which("chromium") and shutil.which("node") and (DRIVER.parent / "node_modules/playwright-core").exists()
    )


class BrowserError(AssertionError):
    """What was asked could not be done on the page as it is."""


class Chromium:
    """One browser process. Tabs are opened with `open` and closed with it at the latest."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(DRIVER), str(shutil.which("chromium"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(120)
        self._process.stdout.close()

    def ask(self, op: str, **given: object) -> Any:
        """One command of the driver; raises BrowserError with the driver's words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BrowserError(f"the browser's driver ended in the middle of {op} {given}")
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(f"{op} {given}: {answer['error']}")
        return answer["result"]

    def open(
        self,
        origin: str,
        *,
        scheme: str = "light",
        width: int = 1280,
        height: int = 900,
        motion: str = "reduce",
        permissions: tuple[str, ...] = (),
        bypass_policy: bool = False,
    ) -> "Tab":
        """A tab with cookies of its own, whose every request must go to `origin`.

        `bypass_policy` turns the content security policy of pages off: only to prove that what it stops is noticed.
        """
        number = self.ask(
            "open",
            origin=origin,
            scheme=scheme,
            width=width,
            height=height,
            motion=motion,
            permissions=permissions,
            bypassCSP=bypass_policy,
        )
        return Tab(self, number, origin)


class Tab:
    """One tab. A context manager: its cookies and storage go with it."""

    def __init__(self, browser: Chromium, number: int, origin: str) -> None:
        self._browser, self._number, self.origin = browser, number, origin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ask("close")

    def beside(self) -> "Tab":
        """A second tab with the same cookies; it closes with the first."""
        return Tab(self._browser, self._browser.ask("open", origin=self.origin, beside=self._number), self.origin)

    def _ask(self, op: str, **given: object) -> Any:
        return self._browser.ask(op, tab=self._number, **given)

    def page(self, method: str, *given: object) -> Any:
        """A method of the driver's page object."""
        return self._ask("page", method=method, args=given)

    def at(self, selector: str, method: str, *given: object) -> Any:
        """A method of what the selector finds."""
        return self._ask("locator", selector=selector, method=method, args=given)

    def goto(self, path: str) -> int:
        """Open a path or URL; returns the status of the page's answer."""
        url = path if path.startswith("http") else self.origin + path
        answer = self.page("goto", url, {"waitUntil": "load"})
        return int(answer["status"]) if answer else 0

    @contextmanager
    def without_javascript(self) -> Iterator[None]:
        """Scripts of pages do not run in here. Afterwards tests may examine the page, but its scripts stay dead."""
        self.debugger("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self.debugger("Emulation.setScriptExecutionDisabled", value=False)

    @property
    def url(self) -> str:
        return str(self.page("url"))

    @property
    def path(self) -> str:
        return self.url.removeprefix(self.origin)

    def click(self, selector: str) -> None:
        self.at(selector, "click")

    def fill(self, selector: str, text: str) -> None:
        self.at(selector, "fill", text)

    def press(self, key: str) -> None:
        self._ask("keyboard", method="press", args=[key])

    def type(self, text: str) -> None:
        self._ask("keyboard", method="type", args=[text])

    def count(self, selector: str) -> int:
        return int(self.at(selector, "count"))

    def text(self, selector: str = "main") -> str:
        """The text that a person sees there."""
        return str(self.at(selector, "innerText"))

    def shows(self, selector: str) -> None:
        """Wait until it is visible."""
        self._ask("locator", selector=f"{selector} >> nth=0", method="waitFor", args=[{"state": "visible"}])

    def evaluate(self, script: str, value: object = None) -> Any:
        """The result of a JavaScript function, given as text, of one value."""
        return self._ask("evaluate", script=script, value=value)

    def until(self, script: str, value: object = None, *, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until the function gives something true; returns it."""
        return self._ask("until", script=script, value=value, timeout=seconds * 1000)

    def until_text(self, text: str, selector: str = "main", *, seconds: float = PATIENCE_SECONDS) -> None:
        script = "([where, what]) => [...document.querySelectorAll(where)].some((one) => one.innerText.includes(what))"
        self.until(script, [selector, text], seconds=seconds)

    def debugger(self, method: str, **params: object) -> Any:
        """A command of the browser's own debugger, such as Network.emulateNetworkConditions."""
        return self._ask("debugger", method=method, params=params)

    def context(self, method: str, *given: object) -> Any:
        return self._ask("context", method=method, args=given)

    def resize(self, width: int, height: int = 800) -> None:
        self.page("setViewportSize", {"width": width, "height": height})

    def use_scheme(self, scheme: str) -> None:
        self.page("emulateMedia", {"colorScheme": scheme})

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        self.page("screenshot", {"path": str(path), "fullPage": whole, "animations": "disabled"})

    def problems(self) -> list[str]:
        """What went wrong since this was asked last: console, errors, dialogs, foreign requests, policy, probes."""
        return [str(one) for one in self._ask("problems")]

    def axe(self, *rules: str) -> list[str]:
        """Violations of accessibility that axe finds, in all its rules or in these."""
        found = self._ask("axe", rules=list(rules) or None)
        return [f"axe {one['id']}: {', '.join(one['where'][:4])}: {' '.join(one['why'].split()[:40])}" for one in found]

    def overflow(self) -> list[str]:
        """What makes the page wider than the screen, if it is."""
        return [f"too wide: {one}" for one in self.evaluate(_OVERFLOW)]
