"""The faults of a page, as texts: in a light, a dark and a narrow window, without JavaScript, and for the keyboard."""

import gzip
from typing import Final

from chromium import PHONE, Tab
from furnished import Furnished

WEIGHT_BYTES: Final = 20 * 1024  # style sheets and scripts of one page, gzipped
_STOPS: Final = 120  # presses of Tab on one page at most

_INJECTED: Final = """() => [...document.querySelectorAll("*")].filter((one) =>
  ["IFRAME", "OBJECT", "EMBED", "BASE", "FRAME"].includes(one.tagName) ||
  (one.tagName === "STYLE" && !location.pathname.startsWith("/p/")) ||  // there its digest is in the policy
  (one.tagName === "SCRIPT" && !one.src) ||
  one.getAttributeNames().some((name) => name.startsWith("on") || name === "style" || name === "srcdoc") ||
  ["href", "src", "action", "formaction", "xlink:href"].some((name) =>
    /^\\s*(javascript|data:text)/i.test(one.getAttribute(name) ?? ""))).map((one) => one.outerHTML.slice(0, 120))"""

_LOADED: Final = """() => performance.getEntriesByType("resource").map((one) => one.name)
  .filter((name) => /\\.(css|m?js)$/.test(new URL(name).pathname))"""

_LOSING: Final = """() => document.querySelector("meta[http-equiv=refresh]") && [...document.querySelectorAll(
  "textarea, select, input:not([type=hidden], [type=submit])")].map((one) => one.outerHTML.slice(0, 120))"""

# by their place in the list: a live region may be replaced while the keyboard walks
_FOCUSABLE: Final = """() => {
  const groups = new Set();
  const kinds = "a[href], button, input, select, textarea, summary, [tabindex]";
  const all = [...document.querySelectorAll(kinds)].filter((one) =>
    !one.disabled && one.type !== "hidden" && one.tabIndex >= 0 && one.checkVisibility({ visibilityProperty: true }) &&
    !one.closest("details:not([open]) > :not(summary)") &&
    !(one.type === "radio" && (groups.has(one.name) || !groups.add(one.name))));
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  return { all: all.map((each) => each.outerHTML.slice(0, 100)), at: all.indexOf(one), ring };
}"""


def with_scripts(tab: Tab, path: str) -> list[str]:
    """Faults of a page as most people see it: light, dark, and as narrow as a phone."""
    tab.use_scheme("light")
    tab.resize(1280, 900)
    faults = _opened(tab, path)
    faults += [f"light: {one}" for one in tab.axe()]
    tab.use_scheme("dark")
    faults += [f"dark: {one}" for one in tab.axe("color-contrast", "link-in-text-block")]
    tab.resize(PHONE)
    faults += [f"phone: {one}" for one in (*tab.overflow(), *tab.axe())]
    if path.startswith("/p/"):  # it has no scripts, so it refreshes itself while its prediction runs
        faults = [one for one in faults if "axe meta-refresh" not in one]
    return faults + _found(tab)


def without_scripts(tab: Tab, path: str) -> list[str]:
    tab.resize(PHONE)
    with tab.without_javascript():
        faults = _opened(tab, path)
    # a page that runs refreshes itself: without scripts nothing else could show that something has changed
    faults += [*tab.overflow(), *(one for one in tab.axe() if not one.startswith("axe meta-refresh"))]
    faults += [f"a refresh loses what is typed in {one}" for one in tab.evaluate(_LOSING) or ()]
    return [f"without JavaScript: {one}" for one in (*faults, *_found(tab))]


def by_keyboard(tab: Tab, path: str) -> list[str]:
    """What Tab does not reach, and where a person would not see where they are."""
    tab.resize(1280, 900)
    tab.goto(path)
    wanted = tab.evaluate(_FOCUSABLE)["all"]
    reached: set[int] = set()
    unseen = []
    for _ in range(min(len(wanted) + 10, _STOPS)):
        tab.press("Tab")
        now = tab.evaluate(_FOCUSABLE)
        if now["at"] < 0:
            continue
        if now["at"] in reached and len(reached) >= len(wanted):
            break
        reached.add(now["at"])
        if not now["ring"]:
            unseen.append(f"no visible focus: {now['all'][now['at']]}")
    missed = [one for number, one in enumerate(wanted[: _STOPS - 10]) if number not in reached]
    return unseen + [f"not reached by Tab: {one}" for one in missed[:5]]


def weight(tab: Tab, furnished: Furnished) -> int:
    """Bytes of style sheets and scripts that the page in this tab has loaded, gzipped."""
    names = dict.fromkeys(str(one) for one in tab.evaluate(_LOADED))
    texts = [furnished.read(one.removeprefix(tab.origin))[1] for one in names]
    return sum(len(gzip.compress(text.encode())) for text in texts)


def _opened(tab: Tab, path: str) -> list[str]:
    status = tab.goto(path)
    return [] if status < 400 else [f"answered with {status}: {tab.text('body')[:300]}"]


def foreign_elements(tab: Tab) -> list[str]:
    """Elements and attributes that our templates never write: somebody's text became a part of the page."""
    return [f"foreign element: {one}" for one in tab.evaluate(_INJECTED)]


def _found(tab: Tab) -> list[str]:
    return foreign_elements(tab) + tab.problems()
