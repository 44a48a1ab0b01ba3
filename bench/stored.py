"""What many stored predictions cost: python bench/stored.py [--stored 100000] [--minutes 5] [--rounds 5].

Creates, GETs, pages, searches, summaries and claims beside a database of some 1,000, in turn, by CPU time; and the
memory of both servers.
The large database is made by the server's own store in FOLDER, in at most that many minutes a call, and is used again.
"""

import argparse
import asyncio
import http.client
import json
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path

from fill import SESSION, count, database, filler
from fronts import HalleyFront
from halley_server import AUTH, PROMPT, ask, halley_environment, serve, until
from machine import exact_cpu_seconds, free_port, running
from verdict import order

FOLDER = Path(__file__).resolve().parent.parent / ".bench/stored"
FEW = 1000
CREATES, CLAIMS, CREDIT = 200, 200, 20  # of a round: few, for each adds to what is stored
GETS, PAGES, SEARCHES = 1000, 10, 50
READ = 5000  # other predictions, from all of the database, that are read before memory is measured
LIMIT = 1.15  # of the cost beside 1,000 predictions
SIDES = {"this": "many", "other": "few"}  # the order of the rounds is that of two commits


class Client:
    """Asks one server for one thing after the other, on one connection; figures are us of its CPU for each request."""

    def __init__(self, process, port, ids):
        self.process, self.ids = process, ids
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.pages = 0

    def ask(self, method, path, *headers, body=None):
        lines = dict(line.split(": ", 1) for line in (AUTH, "Content-Type: application/json", *headers))
        self.connection.request(method, path, body, lines)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]}")
        return text

    def create(self):
        self.ask("POST", "/v1/models/demo/noop/predictions", "Prefer: wait", body=json.dumps(PROMPT))

    def get(self):
        self.ask("GET", f"/v1/predictions/{random.choice(self.ids)}")

    def page(self):
        """The page after the last one; ten pages, and again from the newest."""
        path = "/v1/predictions" if self.pages % PAGES == 0 else self.next
        self.pages += 1
        following = json.loads(self.ask("GET", path))["next"]
        self.next = following[following.index("/v1/") :]

    def search(self):
        self.ask("GET", "/v1/predictions?model=demo/noop&status=succeeded&limit=50")

    def summary(self):
        self.ask("GET", "/v1/predictions/summary")

    def measure(self, call, requests):
        before = exact_cpu_seconds(self.process)
        for _ in range(requests):
            call()
        return (exact_cpu_seconds(self.process) - before) / requests * 1e6


async def claims(side):
    """CPU to claim one prediction out of a queue of 200, in us; they are ended afterwards."""
    await asyncio.gather(*[side.store.create(side.new()) for _ in range(CLAIMS)])
    before, found = time.process_time(), []
    while len(found) < CLAIMS:
        found += await side.store.claim(SESSION, {side.row["version"]: CREDIT}, side.clock.now())
    used = time.process_time() - before
    await asyncio.gather(*[side.end(claimed.lease) for claimed in found])
    return used / CLAIMS * 1e6


async def prepare(homes, options):
    """Fill both databases as far as time allows, and measure claims in turn."""
    wanted, measured = {"many": options.stored, "few": FEW}, {"many": [], "few": []}
    ends = time.monotonic() + options.minutes * 60
    async with AsyncExitStack() as stack:
        sides = {}
        for name, home in homes.items():
            sides[name] = side = await stack.enter_async_context(filler(home))
            began, before = time.perf_counter(), count(home)
            made = await side.fill(max(wanted[name] - before, 0), ends)
            print(
                f"{home.name}: {before} stored before, {made} made in {time.perf_counter() - began:.0f} s", flush=True
            )
        for number in range(options.rounds):
            for name in map(SIDES.get, order(number)):
                measured[name].append(await claims(sides[name]))
    return measured


def serve_both(homes, rounds):
    found = {"create, run to its end": {}, "GET of any": {}, "page of 100": {}, "search for 50": {}, "summary": {}}
    with ExitStack() as stack:
        fronts, clients = {}, {}
        for name, home in homes.items():
            port = free_port()
            process = stack.enter_context(running(serve(home, port), port, env=halley_environment(home), cwd=home))
            create = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"
            until(lambda create=create: ask(create, PROMPT, ("Prefer: wait",)))
            fronts[name] = HalleyFront(name, process, port)
            clients[name] = Client(process, port, some_ids(home))
        for number in range(rounds):
            for name in map(SIDES.get, order(number)):
                client = clients[name]
                calls = {
                    client.create: CREATES,
                    client.get: GETS,
                    client.page: 10 * PAGES,
                    client.search: SEARCHES,
                    client.summary: SEARCHES,
                }
                for figures, (call, requests) in zip(found.values(), calls.items(), strict=True):
                    figures.setdefault(name, []).append(client.measure(call, requests))
        memory = {}
        for name, client in clients.items():
            for client.ids in (some_ids(homes[name]) for _ in range(READ // FEW)):
                client.measure(client.get, FEW)
            memory[name] = fronts[name].memory_kb() / 1024
    return found, memory


def some_ids(home):
    """Ids from all of the database, as many on both sides: an answer that is asked for again comes from a cache."""
    with closing(sqlite3.connect(database(home))) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM predictions")]
    return random.sample(ids, min(FEW, len(ids)))


def lines(found, stored):
    """One line of text for each kind of request; `found` maps it to the figures of both sides."""
    yield f"{'us of CPU, median, of':26}{stored['many']:>14}{stored['few']:>14}{'ratio':>8}"
    for title, sides in found.items():
        many, few = (statistics.median(sides[name]) for name in ("many", "few"))
        over = "" if many <= few * LIMIT else "  over"
        yield f"{title:26}{many:>14.0f}{few:>14.0f}{many / few:>8.2f}{over}"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --stored", description=__doc__)
    parser.add_argument("--stored", type=int, default=100_000, help="how many predictions the large database has")
    parser.add_argument("--minutes", type=float, default=5, help="the longest time to make them; a later call goes on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the large database stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as few:
        homes = {"many": (options.folder / str(options.stored)).resolve(), "few": Path(few) / str(FEW)}
        claimed = asyncio.run(prepare(homes, options))
        stored = {name: count(home) for name, home in homes.items()}
        found, memory = serve_both(homes, options.rounds)
    print("\n".join(lines({"claim": claimed, **found}, stored)))
    print(f"memory of the server, MB of PSS: {memory['many']:.1f} and {memory['few']:.1f} (target: within 5)")
    print(f"aim: each ratio at most {LIMIT}")


if __name__ == "__main__":
    main()
