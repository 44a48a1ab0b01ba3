"""Waiting and streaming: memory of idle waiters, other requests beside them, waking, events, clients that poll.

python bench/live.py [--peers DIR] [--waiters 5000] [--only memory,wake,events,clients]. Run it on the load's core, as
scripts/bench --only live does. Servers are pinned to core 0. Peers keep everything in memory; Halley stores what it
streams.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import uvloop
from fronts import Front, HalleyFront
from halley_server import ADMIN_KEY, AUTH, ask, halley_environment, serve, until
from machine import cpu_seconds, free_port, running, tree_cpu_seconds, wrk
from waiters import crowd, delivered, go

HERE = Path(__file__).resolve().parent
FOLLOWERS = 200
SETTLE_SECONDS = 3.0


def check(waiters, answers):
    lost = sum(waiter.is_lost for waiter in waiters)
    wrong = sum(waiter.answers != answers for waiter in waiters)
    if lost or wrong:
        print(f"  ! of {len(waiters)} waiters {lost} were cut and {wrong} are not where they should be")


async def measure_memory(front, url, headers, kind, all_requests, answers):
    """One kind of idle waiters: KB each, and a plain GET beside them."""
    blank = await crowd(front.port, [[all_requests.pop()[0]]])  # whatever the first one brings along is not theirs
    before, alone = front.memory_kb(), await beside(front, url, headers)
    waiters = await crowd(front.port, all_requests)
    await asyncio.sleep(SETTLE_SECONDS)
    each = (front.memory_kb() - before) / len(waiters)
    cpu = cpu_seconds(front.servers())
    await asyncio.sleep(1)
    idle = cpu_seconds(front.servers()) - cpu
    meanwhile = await beside(front, url, headers)
    check(waiters, answers)
    print(
        f"{front.name:26}{kind:34}{each:>8.1f}{alone['p50']:>11.3f}{meanwhile['p50']:>11.3f}"
        f"{meanwhile['p50'] / alone['p50']:>8.2f}{alone['per_cpu'] / max(meanwhile['per_cpu'], 1):>9.2f}{idle:>8.2f}",
        flush=True,
    )
    await go([*waiters, *blank])


async def beside(front, url, headers):
    """A GET on four connections: the best of four stretches, for the machine has other things to do."""
    runs = [
        await asyncio.to_thread(wrk, front.process, url, connections=4, seconds=2, headers=headers) for _ in range(4)
    ]
    runs = [run for run in runs if run["p50"] > 0] or runs  # none came through: another program had the core
    return {"p50": min(run["p50"] for run in runs), "per_cpu": max(run["per_cpu"] for run in runs)}


async def halley_memory(front, count, kind):
    made = [front.create(quiet_seconds=3000) for _ in range(8)]  # they take all slots: what follows waits
    if kind == "create that waits":
        requests, answers = [front.created() for _ in range(count + 1)], 0
    else:
        waiting = await queued(front, count + 1)
        requests = [front.streamed(one) if kind == "stream" else front.asked(one["id"]) for one in waiting]
        answers = 1 if kind == "stream" else 0
    url = f"{front.base}/v1/predictions/{made[0]['id']}"
    await measure_memory(front, url, (AUTH,), kind, requests, answers)


async def queued(front, count):
    """Predictions that wait in the queue, one for each waiter."""

    def some(number):
        return [front.create(quiet_seconds=3000) for _ in range(number)]

    with ThreadPoolExecutor(8) as pool:
        parts = await asyncio.gather(*[asyncio.to_thread(some, count // 8) for _ in range(8)])
        del pool
    found = [one for part in parts for one in part]
    return found + some(count - len(found))


async def peer_memory(front, count, kind):
    request = front.request("GET", "/stream" if kind == "stream" else "/wait")
    answers = 1 if kind == "stream" else 0
    await measure_memory(front, f"{front.base}/get", (), kind, [[request]] * (count + 1), answers)


# waking -----------------------------------------------------------------------------------------------------------


def told(front, kind, waiters, began, cpu):
    heard = [waiter.heard_at for waiter in waiters]
    late = sum(at <= began for at in heard)
    first, last = (min(heard) - began) * 1000, (max(heard) - began) * 1000
    note = f"  ! {late} were not told" if late else ""
    cpu = cpu_seconds(front.servers()) - cpu
    print(f"{front.name:26}{kind:34}{first:>10.0f}{last:>10.0f}{cpu:>10.2f}{note}", flush=True)


async def until_status(front, made, status):
    def look():
        while (row := ask(f"{front.base}/v1/predictions/{made['id']}"))["status"] != status:
            time.sleep(0.5)  # seldom: it takes from the CPU that is measured
        return row

    return await asyncio.to_thread(look)


async def halley_wake(front, count):
    for kind in ("held GET", "stream"):
        made = front.create(quiet_seconds=25, words=1)
        await until_status(front, made, "processing")
        requests = front.asked(made["id"]) if kind == "held GET" else front.streamed(made)
        waiters = await crowd(front.port, [requests] * count)
        await asyncio.sleep(1)
        check(waiters, 0 if kind == "held GET" else 1)
        cpu = cpu_seconds(front.servers())
        row = await until_status(front, made, "succeeded")
        await asyncio.sleep(5)
        ended = datetime.fromisoformat(row["completed_at"]).timestamp() - time.time() + time.perf_counter()
        told(front, kind, waiters, ended, cpu)
        await go(waiters)


async def peer_wake(front, count):
    waiters = await crowd(front.port, [[front.request("GET", "/wait")]] * count)
    await asyncio.sleep(1)
    cpu, began = cpu_seconds(front.servers()), time.perf_counter()
    await crowd(front.port, [[front.request("POST", "/fire")]])
    await asyncio.sleep(5)
    told(front, "request that waits", waiters, began, cpu)
    await go(waiters)


# events -----------------------------------------------------------------------------------------------------------


async def measure_events(front, start, requests, words, per_second):
    alone = front.servers()
    meters = [lambda: tree_cpu_seconds(front.process), lambda: cpu_seconds(alone)]
    events, cpu, own = await delivered(front, start, [requests] * FOLLOWERS, words, per_second, meters)
    whole = "" if events == words * FOLLOWERS else f"  ! {events} of {words * FOLLOWERS} came"
    print(f"{front.name:26}{per_second:>12}{events / cpu:>14.0f}{events / own:>16.0f}{whole}", flush=True)


async def halley_events(front, words, per_second):
    made = front.create(quiet_seconds=2, words=words, per_second=per_second)
    await measure_events(front, lambda: None, front.streamed(made), words, per_second)


async def peer_events(front, words, per_second):
    path = f"/say?words={words}&per_second={per_second}"
    firing = []

    def start():
        firing.append(asyncio.ensure_future(crowd(front.port, [[front.request("POST", path)]])))

    await measure_events(front, start, [front.request("GET", "/stream")], words, per_second)


# clients that poll ------------------------------------------------------------------------------------------------


def clients():
    """The official clients that are installed: the command that runs one of their cases."""
    root = HERE.parent
    found = {
        name: [root / f".clients/{name}/bin/python", root / f"tests/e2e/clients/{name}.py"] for name in ("py1", "py2")
    }
    found["js"] = ["node", root / "tests/e2e/js/cases.mjs"]
    present = {name: words for name, words in found.items() if (root / f".clients/{name}").exists()}
    if len(present) < len(found):
        print("not all official clients are there: scripts/install py1, py2, js")
    return present


def measure_clients(front, key, title, runs=5):
    """How long after its end a client that polls notices it."""
    env = {"PATH": os.environ["PATH"], "REPLICATE_BASE_URL": front.base, "REPLICATE_API_TOKEN": key}

    def follow(words, n):
        given = json.dumps({"model": "bench/ticker", "quiet_seconds": 3 + n * 0.37, "words": 1})
        done = subprocess.run([*map(str, words), "follow", given], env=env, capture_output=True, text=True, check=True)
        end = json.loads(done.stdout.splitlines()[-1])
        return (end["noticed"] - datetime.fromisoformat(end["ended"]).timestamp()) * 1000

    for name, words in clients().items():
        late = [follow(words, n) for n in range(runs)]
        print(f"{name:8}{title:26}{statistics.median(late):>10.0f}{max(late):>10.0f}", flush=True)


# all --------------------------------------------------------------------------------------------------------------


@contextmanager
def halley(home):
    port = free_port()
    command = serve(home, port, {"bench/ticker": HERE / "models/ticker"})

    def ready():
        until(lambda: ask(f"http://127.0.0.1:{port}/v1/account"))
        url = f"http://127.0.0.1:{port}/v1/models/bench/ticker/predictions"
        until(lambda: ask(url, {"input": {}}, ("Prefer: wait",)))

    with running(command, port, env=halley_environment(home), cwd=home, ready=ready) as process:
        yield HalleyFront("halley", process, port)


@contextmanager
def peer(peers, name):
    port = free_port()
    bin_folder = peers / "bin"
    if name == "uvicorn + Starlette":
        command = [bin_folder / "uvicorn", "live_app:app", "--port", port, "--loop", "uvloop", "--http", "httptools"]
        command += ["--no-access-log", "--log-level", "warning", "--backlog", "4096"]
    else:
        command = [bin_folder / "granian", "--interface", "asgi", "--port", port, "--loop", "uvloop", "--no-log"]
        command += ["--backlog", "8192", "--backpressure", "8192", "live_app:app"]
    ready = lambda: until(lambda: ask(f"http://127.0.0.1:{port}/get"))  # noqa: E731
    with running(command, port, cwd=HERE / "peers", ready=ready) as process:
        yield Front(name, process, port)


PEERS = ("uvicorn + Starlette", "granian + Starlette")


async def each_front(home, peers, ours, theirs):
    with halley(home) as front:
        await ours(front)
    for name in PEERS if peers else ():
        with peer(peers, name) as front:
            await theirs(front)


async def measure(options, home):
    peers, count = options.peers, options.waiters
    parts = options.only.split(",")
    if "memory" in parts:
        print(f"\n{count} idle waiters; beside them a GET on 4 connections, alone and meanwhile (p50 in ms)")
        print(f"{'':60}{'KB each':>8}{'alone':>11}{'meanwhile':>11}{'ratio':>8}{'CPU each':>9}{'idle CPU':>9}")
        for ours, theirs in (("held GET", "request that waits"), ("stream", "stream"), ("create that waits", None)):
            await each_front(  # memory that was used once is not given back: each kind has its own server
                fresh(home),
                peers if theirs else None,
                lambda front, kind=ours: halley_memory(front, count, kind),
                lambda front, kind=theirs: peer_memory(front, count, kind),
            )
    if "wake" in parts:
        print(f"\n{count} wait for the same end: ms until the first and until the last has heard of it, and CPU")
        print(f"{'':60}{'first':>10}{'last':>10}{'CPU-s':>10}")
        await each_front(
            fresh(home), peers, lambda front: halley_wake(front, count), lambda front: peer_wake(front, count)
        )
    if "events" in parts:
        print(f"\nevents delivered to {FOLLOWERS} readers of a stream, per CPU-second of all, of the server")
        print(f"{'':26}{'events/s':>12}{'per CPU-s':>14}{'of the server':>16}")
        for words, per_second in ((500, 100), (2500, 500)):
            await each_front(
                fresh(home),
                peers,
                lambda front, w=words, p=per_second: halley_events(front, w, p),
                lambda front, w=words, p=per_second: peer_events(front, w, p),
            )
    if "clients" in parts:
        print("\nofficial clients that poll: ms from the end of the prediction until they notice it (aim: 150)")
        print(f"{'':34}{'median':>10}{'worst of 5':>10}")
        with halley(fresh(home)) as front:
            await asyncio.to_thread(measure_clients, front, ADMIN_KEY, "held")
            made = ask(f"{front.base}/v1/keys", {"username": "free", "options": {"hold": False}})
            await asyncio.to_thread(measure_clients, front, made["token"], "not held (--no-hold)")


def fresh(home):
    return Path(tempfile.mkdtemp(dir=home))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="the environment that holds uvicorn, Starlette and granian")
    parser.add_argument("--waiters", type=int, default=5000)
    parser.add_argument("--only", default="memory,wake,events,clients", help="parts to measure")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < options.waiters + 500:
        raise SystemExit(f"live: {hard} open files are allowed here; {options.waiters} waiters need more: ulimit -Hn")
    if options.peers is not None and not (options.peers / "bin/granian").exists():
        print("live: going on without uvicorn and granian: scripts/install peers", file=sys.stderr)
        options.peers = None
    options.peers = options.peers and options.peers.resolve()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        uvloop.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
