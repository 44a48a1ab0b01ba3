"""Every page of the dashboard in a real browser, with hostile texts in all places: in light, dark, narrow, scriptless.

The pages are those of the dashboard's own table: a new one is examined without a line here. Prints the weights.
"""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from addresses import PATTERNS, all_addresses
from attempts import SHORT
from chromium import Chromium, Tab
from examine import WEIGHT_BYTES, by_keyboard, weight, with_scripts, without_scripts
from furnished import Furnished
from signed_in import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

# read by scripts, or led to only when something is too long for its page
WITHOUT_LINK = frozenset(
    {"/ui/live", "/ui/missing"} | {f"/ui/predictions/{{prediction_id}}/{end}" for end in ("events", "output", "log")}
)

_DROP = """async (link) => {
  const moved = new DataTransfer();
  moved.items.add(new File([await (await fetch(link)).blob()], "picture.webp", { type: "image/webp" }));
  const place = document.querySelector("form[data-play] header");
  for (const name of ["dragover", "drop"]) {
    place.dispatchEvent(new DragEvent(name, { dataTransfer: moved, bubbles: true, cancelable: true }));
  }
}"""


@pytest.fixture(scope="module")
def addresses(furnished: Furnished) -> dict[str, list[str]]:
    return all_addresses(furnished)


@pytest.fixture(scope="module")
def tab(chromium: Chromium, furnished: Furnished) -> Iterator[Tab]:
    with chromium.open(furnished.server.url) as opened:
        sign_in(opened, furnished.server.key)
        opened.problems()
        yield opened


def told(faults: list[tuple[str, str]]) -> str:
    """Each fault once, with the addresses that have it."""
    where: dict[str, list[str]] = {}
    for path, fault in faults:
        where.setdefault(fault, []).append(path)
    return "\n".join(f"{fault}\n    at {' '.join(dict.fromkeys(paths))}" for fault, paths in where.items())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_page(pattern: str, addresses: dict[str, list[str]], tab: Tab, furnished: Furnished) -> None:
    assert addresses[pattern] or pattern in WITHOUT_LINK, "no page leads to it"
    faults: list[tuple[str, str]] = []
    pages = [path for path in addresses[pattern] if furnished.is_page(path)]
    for path in pages:
        found = with_scripts(tab, path)
        if (bytes_ := weight(tab, furnished)) > WEIGHT_BYTES:
            found.append(f"style sheets and scripts weigh {bytes_} bytes")
        found += without_scripts(tab, path)
        faults += [(path, one) for one in found]
    faults += [(path, one) for path in pages[:1] for one in by_keyboard(tab, path)]
    tab.problems()  # the keyboard may have left a page in the middle
    assert not faults, told(faults)


def test_pages_without_a_sign_in(chromium: Chromium, furnished: Furnished) -> None:
    _, _, shown = furnished.server.call("GET", f"/v1/predictions/{furnished.predictions['texts']}")
    permalinks = []
    for one in furnished.predictions.values():
        _, _, shown = furnished.server.call("GET", f"/v1/predictions/{one}")
        permalinks.append(shown["urls"]["web"].removeprefix(furnished.server.url))
    attempt = quote(SHORT[0] + SHORT[1], safe="")
    faults: list[tuple[str, str]] = []
    with chromium.open(furnished.server.url) as tab:
        for path in ("/ui/sign-in", f"/ui/sign-in?next={attempt}&code={attempt}", *permalinks):
            found = with_scripts(tab, path) + without_scripts(tab, path) + by_keyboard(tab, path)
            # the browser itself says on its console that a wrong code was refused
            faults += [(path, one) for one in found if "status of 401" not in one]
    assert not faults, told(faults)


def test_pages_of_errors(tab: Tab) -> None:
    attempt = quote(SHORT[0] + SHORT[2], safe="")
    faults: list[tuple[str, str]] = []
    for path in (f"/ui/{attempt}", f"/ui/predictions/{attempt}", f"/ui/models/{attempt}/{attempt}"):
        found = [one for one in with_scripts(tab, path) + without_scripts(tab, path) if "answered with 404" not in one]
        # the browser itself says on its console that the page is not there
        faults += [(path, one) for one in found if "status of 404" not in one]
    assert not faults, told(faults)


def test_a_picture_that_is_dropped_on_a_form_gives_back_its_input(tab: Tab, furnished: Furnished) -> None:
    tab.goto("/ui/models/demo/paint")
    tab.evaluate(_DROP, f"/ui/predictions/{furnished.predictions['picture']}/with-input/1")
    tab.until("() => document.querySelector('[name=\"input.prompt\"]').value === 'a lake'")
    assert tab.evaluate("() => document.querySelector('[name=\"input.seed\"]').value") == "1"
    tab.shows("text=The input of the picture.")
    assert not tab.problems()


def test_playground_by_keyboard_alone(tab: Tab) -> None:
    """Each kind of control is reached by Tab and used; the run is started, and its output reached."""
    tab.resize(1280, 900)
    tab.goto("/ui/models/demo/paint")
    reach(tab, '[name="input.prompt"]')
    tab.press("Control+a")
    tab.type("a cabin in the snow")
    reach(tab, '[name="input.seed"]')
    tab.type("7")
    reach(tab, "form details > summary")
    tab.press("Enter")
    reach(tab, 'form details[open] select[name^="input."]')
    before = tab.evaluate("() => document.activeElement.value")
    tab.press("ArrowDown")
    assert tab.evaluate("() => document.activeElement.value") != before
    reach(tab, "form[data-play] button.primary")
    tab.press("Enter")
    tab.until("() => [...document.querySelectorAll('[data-output] img')].some((one) => one.naturalWidth)")
    reach(tab, "[data-output] a")
    reach(tab, "#code > summary")
    tab.press("Enter")
    tab.until("() => document.querySelector('#code').open")
    assert tab.problems() == []


def reach(tab: Tab, selector: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(80):
        if tab.evaluate("(where) => document.activeElement.matches(where)", selector):
            return
        tab.press("Tab")
    raise AssertionError(f"Tab does not lead to {selector}")
