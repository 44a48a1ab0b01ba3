"""What the dashboard costs: scripts/bench --pages [--stored 1000000] [--minutes 5] [--folder FOLDER].

Printed for each page: its style sheets and scripts, gzipped, and when Chromium painted it first, on loopback. Then the
CPU time of the server for home and the lists beside a database of 1,000 predictions and beside a large one, in turn;
and what 50 open dashboards cost it, while nothing happens and while a prediction is made each second.

The large database is that of `scripts/bench --stored`, made in FOLDER in at most that many minutes a call.
"""

import argparse
import asyncio
import gzip
import http.client
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fill import count, filler
from halley_server import ADMIN_KEY, PROMPT, ask, halley_environment, serve, until
from machine import exact_cpu_seconds, free_port, running
from stored import FEW, FOLDER, SIDES
from verdict import order

ROOT = Path(__file__).resolve().parent.parent
WEIGHT_BYTES, PAINT_MS, RATIO, SHARE = 20 * 1024, 100, 1.5, 0.05  # what issue 13 asks for
PAGES = (
    "/ui",
    "/ui/models",
    "/ui/models/demo/noop",
    "/ui/predictions",
    "/ui/predictions/{id}",
    "/ui/errors",
    "/ui/keys",
)
LISTS = ("/ui", "/ui/predictions", "/ui/predictions?status=failed", "/ui/errors", "/ui/models/demo/noop/runs")
ASKED, PAINTS = 20, 5
DASHBOARDS, WATCHED_SECONDS = 50, 10
FIRST_PAINT = """() => performance.getEntriesByName("first-contentful-paint").map((one) => one.startTime)[0]"""
LOADED = """() => performance.getEntriesByType("resource").map((one) => new URL(one.name))
  .filter((url) => /[.]m?(css|js)$/.test(url.pathname)).map((url) => url.pathname)"""


class Reader:
    """One signed-in person: asks a server for pages on one connection."""

    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        form = urllib.parse.urlencode({"key": ADMIN_KEY, "next": "/ui"})
        answer = self._answer("POST", "/ui/sign-in", form, {"Content-Type": "application/x-www-form-urlencoded"})
        self.cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}

    def _answer(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        self.body = answer.read()
        return answer

    def page(self, path, *, is_fragment=False):
        """The status, and the bytes in `body`."""
        return self._answer("GET", path, headers={**self.cookie, **({"x-fragment": "1"} if is_fragment else {})}).status


@contextmanager
def server(home):
    port = free_port()
    with running(serve(home, port), port, env=halley_environment(home), cwd=home) as process:
        create = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"
        until(lambda: ask(create, PROMPT, ("Prefer: wait",)))
        yield process, port, create


def lists(homes):
    """CPU of the server for one page, in us, beside few and many predictions; by path, then by side."""
    found = {}
    with ExitStack() as stack:
        sides = {}
        for name, home in homes.items():
            process, port, create = stack.enter_context(server(home))
            sides[name] = process, Reader(port), create
        for path in LISTS:
            if any(reader.page(path) != 200 for _, reader, _ in sides.values()):
                print(f"{path}: not served")
                continue
            for number in range(PAINTS):
                for name in map(SIDES.get, order(number)):
                    process, reader, create = sides[name]
                    before = exact_cpu_seconds(process)
                    for _ in range(ASKED):
                        ask(create, PROMPT, ("Prefer: wait",))  # so that no answer of before is good enough
                        reader.page(path)
                    used = (exact_cpu_seconds(process) - before) / ASKED * 1e6
                    found.setdefault(path, {}).setdefault(name, []).append(used)
        base = {}
        for number in range(PAINTS):
            for name in map(SIDES.get, order(number)):
                process, _, create = sides[name]
                before = exact_cpu_seconds(process)
                for _ in range(ASKED):
                    ask(create, PROMPT, ("Prefer: wait",))
                base.setdefault(name, []).append((exact_cpu_seconds(process) - before) / ASKED * 1e6)
    return found, {name: statistics.median(figures) for name, figures in base.items()}


def open_dashboard(port, cookie, stop, refreshed):
    """One open page: follows the stream of changes, and fetches itself again at most once a second, as app.js does."""
    stream = http.client.HTTPConnection("127.0.0.1", port, timeout=WATCHED_SECONDS * 2)
    stream.request("GET", "/ui/live?topic=predictions", headers=cookie)
    answer = stream.getresponse()
    again = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    last = 0.0
    while not stop.is_set():
        line = answer.readline()
        if not line:
            return
        if line.startswith(b"event: changed"):
            time.sleep(max(0.0, 1 - (time.monotonic() - last)))
            last = time.monotonic()
            again.request("GET", "/ui", headers={**cookie, "x-fragment": "1"})
            again.getresponse().read()
            refreshed.append(1)


def dashboards(home):
    """The share of a core that 50 open pages cost: idle, and with a prediction a second without and with them."""
    with server(home) as (process, port, create):
        cookie = Reader(port).cookie

        def share(*, creates):
            before, began = exact_cpu_seconds(process), time.monotonic()
            while (now := time.monotonic() - began) < WATCHED_SECONDS:
                if creates:
                    ask(create, PROMPT, ("Prefer: wait",))
                time.sleep(max(0.0, 1 - (time.monotonic() - began - now)))
            return (exact_cpu_seconds(process) - before) / (time.monotonic() - began)

        alone = {creates: share(creates=creates) for creates in (False, True)}
        stop, refreshed = threading.Event(), []
        crowd = [
            threading.Thread(target=open_dashboard, args=(port, cookie, stop, refreshed), daemon=True)
            for _ in range(DASHBOARDS)
        ]
        for one in crowd:
            one.start()
        time.sleep(2)
        refreshed.clear()
        for creates, title in ((False, "nothing happens"), (True, "a prediction a second")):
            with_them = share(creates=creates)
            over = "" if with_them - alone[creates] <= SHARE else "  over"
            print(
                f"{DASHBOARDS} dashboards, {title}: {(with_them - alone[creates]) * 100:.1f} % of a core "
                f"({alone[creates] * 100:.1f} % without them; {len(refreshed)} refreshes in all){over}"
            )
        stop.set()


def paints(home):
    """Weight and first paint of each page, in Chromium."""
    sys.path.append(str(ROOT / "tests/browser"))
    from chromium import Chromium, installed

    if not installed():
        print("first paint: no browser (scripts/install browser)")
        return
    with server(home) as (_, port, create), Chromium() as chromium, chromium.open(f"http://127.0.0.1:{port}") as tab:
        tab.goto("/ui/sign-in")
        tab.fill("input[name=key]", ADMIN_KEY)
        tab.click("form button.primary")
        tab.until("() => !location.pathname.endsWith('/sign-in')")
        made = ask(create, PROMPT, ("Prefer: wait",))
        reader = Reader(port)
        print(f"{'page':32}{'CSS+JS gz':>12}{'first paint ms':>16}")
        for pattern in PAGES:
            path = pattern.replace("{id}", made["id"])
            if tab.goto(path) != 200:
                print(f"{pattern:32}{'not served':>12}")
                continue
            weight = 0
            for name in dict.fromkeys(tab.evaluate(LOADED)):
                reader.page(name)
                weight += len(gzip.compress(reader.body))
            times = []
            for _ in range(PAINTS):
                tab.goto(path)
                times.append(tab.until(FIRST_PAINT))
            first = statistics.median(times)
            over = "" if weight <= WEIGHT_BYTES and first <= PAINT_MS else "  over"
            print(f"{pattern:32}{weight:>12}{first:>16.0f}{over}")


async def fill(homes, options):
    ends = time.monotonic() + options.minutes * 60
    for name, wanted in (("few", FEW), ("many", options.stored)):
        async with filler(homes[name]) as side:
            await side.fill(max(wanted - count(homes[name]), 0), ends)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --pages", description=__doc__)
    parser.add_argument("--stored", type=int, default=100_000, help="how many predictions the large database has")
    parser.add_argument("--minutes", type=float, default=5, help="the longest time to make them; a later call goes on")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the large database stays")
    options = parser.parse_args([one for one in sys.argv[1:] if one != "--pages"])
    with tempfile.TemporaryDirectory() as temporary:
        few, empty = Path(temporary) / str(FEW), Path(temporary) / "empty"
        empty.mkdir()
        paints(empty)
        dashboards(empty)
        homes = {"many": (options.folder / str(options.stored)).resolve(), "few": few}
        asyncio.run(fill(homes, options))
        stored = {name: count(home) for name, home in homes.items()}
        found, base = lists(homes)
    print(f"{'us of CPU for a page, median':36}{stored['many']:>12}{stored['few']:>12}{'ratio':>8}")
    for path, sides in found.items():
        many, low = (statistics.median(sides[name]) - base[name] for name in ("many", "few"))
        print(f"{path:36}{many:>12.0f}{low:>12.0f}{many / low:>8.2f}{'' if many <= low * RATIO else '  over'}")
    print(f"aims: {WEIGHT_BYTES} bytes, {PAINT_MS} ms, {SHARE:.0%} of a core, a ratio of {RATIO}")


if __name__ == "__main__":
    main()
