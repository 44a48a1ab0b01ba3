"""Halley beside nginx and other servers, in one run on one core: python bench/run.py [--peers DIR] [--only ROW,...].

Servers, their writers and replicas are pinned to core 0, the load to core 1. Rates differ between machines and even
between runs: compare what stands in one table. `/CPU-s` is requests per second of CPU time that the server really got.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from math import isnan, nan
from pathlib import Path
from subprocess import DEVNULL

from event_rows import EVENT_ROWS, microseconds
from halley_server import AUTH, PROMPT, ask, halley_environment, serve, serve_floor, settle, until
from machine import LOAD_CORE, SERVER_CORE, fdatasyncs_per_second, free_port, pss_mb, running, wrk
from other_servers import CALLED_COG, CELERY, COG, LITSERVE, MOSEC, PEERS
from rows import MODELS, Server
from verdict import spread

HERE = Path(__file__).resolve().parent
ASSET_BYTES = 2_000_000
LIFE, CREATE, GET = "lifecycle of a no-op, both durable", "durable create (and run)", "GET, terminal prediction"
FLOOR = "floor: "
ALONE = "halley runner alone, {}, no HTTP"


class Table:
    """The last column compares a row's rate per CPU-second with the floor's: that of `like`, at as many connections."""

    def __init__(self):
        self.figures = {}
        heads = f"{'good/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU':>6}{'/CPU-s':>9}{'of floor':>9}{'refused':>9}"
        print(f"{'':44}{'conns':>6}{heads}")

    def row(self, name, connections, result, like=LIFE):
        self.figures[name, connections] = result
        refused = f"{result['bad']:.0%}" if result["bad"] else ""
        cpu, per_cpu = ("", "") if isnan(result["cpu"]) else (f"{result['cpu']:.2f}", f"{result['per_cpu']:.0f}")
        print(
            f"{name:44}{connections:>6}{result['rate']:>9.0f}{result['p50']:>9.2f}{result['p99']:>9.2f}"
            f"{cpu:>6}{per_cpu:>9}{self._of_floor(connections, result, like):>9}{refused:>9}",
            flush=True,
        )

    def _of_floor(self, connections, result, like):
        floor = self.figures.get((FLOOR + like, connections)) or self.figures.get((FLOOR + like, 64))
        return "" if floor is None or isnan(result["per_cpu"]) else f"{result['per_cpu'] / floor['per_cpu']:.2f}"


def bench_paths(table, seconds, process, port, title):
    """The rows that Halley and the floor have in common; returns a terminal prediction."""
    base = f"http://127.0.0.1:{port}/v1"
    create = f"{base}/models/demo/noop/predictions"
    waiting, body = (AUTH, "Prefer: wait"), json.dumps(PROMPT)
    wrk(process, create, connections=16, seconds=1, headers=waiting, body=body)
    made = ask(create, PROMPT, ("Prefer: wait",))
    get = f"{base}/predictions/{made['id']}"
    answer = ask(get)
    for connections in (1, 64):
        measured = wrk(process, get, connections=connections, seconds=seconds, headers=(AUTH,))
        table.row(title + GET, connections, measured, GET)
    for connections in (1, 8, 64):
        measured = wrk(process, create, connections=connections, seconds=seconds, headers=waiting, body=body)
        table.row(title + LIFE, connections, measured)
    for connections in (1, 64):
        measured = wrk(
            process,
            create,
            connections=connections,
            seconds=seconds,
            headers=(AUTH,),
            body=body,
            settle=lambda: settle(create),
        )
        table.row(title + CREATE, connections, measured, CREATE)
    return answer


def bench_floor(table, seconds, home):
    port = free_port()
    with running(serve_floor(port, home), port) as process:
        bench_paths(table, seconds, process, port, FLOOR)


def bench_halley(table, seconds, home):
    port = free_port()
    create = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"

    def ready():
        until(lambda: ask(create, PROMPT, ("Prefer: wait",)))

    with running(serve(home, port), port, env=halley_environment(home), cwd=home, ready=ready) as process:
        return json.dumps(bench_paths(table, seconds, process, port, "halley "))


@contextmanager
def running_nginx(home, location):
    """An nginx with one worker; yields its process and URL."""
    port = free_port()
    user = "user root; " if os.geteuid() == 0 else ""  # else its worker may not read what is ours
    (home / "nginx.conf").write_text(
        f"{user}worker_processes 1; daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 100000000; default_type application/json;\n"
        + "".join(f" {kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + f"\n server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ {location} }} }} }}\n"
    )
    with running(["nginx", "-c", home / "nginx.conf"], port) as process:
        yield process, f"http://127.0.0.1:{port}"


def bench_nginx(table, seconds, home, answer):
    quoted = answer.replace("\\", "\\\\").replace("'", "\\'").replace("$", "")
    with running_nginx(home, f"return 200 '{quoted}';") as (process, url):
        for connections in (1, 64):
            table.row(
                "nginx return of the same body",
                connections,
                wrk(process, f"{url}/", connections=connections, seconds=seconds),
                GET,
            )


def bench_asset(table, seconds, home):
    """One output file of 2 MB, beside nginx that sends the very same file of the data folder."""
    port = free_port()
    command = serve(home, port, {"bench/asset": HERE / "models/two_megabytes.py"})
    create = f"http://127.0.0.1:{port}/v1/models/bench/asset/predictions"
    done = {}

    def ready():
        done.update(until(lambda: ask(create, {"input": {}}, ("Prefer: wait",))))

    with running(command, port, env=halley_environment(home), cwd=home, ready=ready) as process:
        for connections in (1, 16):
            measured = wrk(process, done["output"], connections=connections, seconds=seconds)
            table.row("halley, a 2 MB asset", connections, measured)
    (path,) = (path for path in (home / "data/blobs").glob("*/*") if path.stat().st_size == ASSET_BYTES)
    path.chmod(0o644)
    serve_file = f"sendfile on; root {path.parent};"
    with running_nginx(home, serve_file) as (process, url):
        for connections in (1, 16):
            measured = wrk(process, f"{url}/{path.name}", connections=connections, seconds=seconds)
            table.row("nginx, the same file by sendfile", connections, measured)


def bench_events(seconds, home):
    """CPU of the server with its replicas for each event."""
    home.mkdir()
    port = free_port()
    with running(serve(home, port, MODELS), port, env=halley_environment(home), cwd=home) as process:
        server = Server("halley", process, port)
        server.prepare()
        for row in EVENT_ROWS.values():
            each = microseconds(row.measure(server, seconds, has_wrk=True))
            print(f"{row.title:50}{each:>8.0f} us of CPU for each event", flush=True)


def bench_runner(table, seconds):
    """Our runner without HTTP and store, called by a Python process on the same core (see _call_cog)."""
    command = ["taskset", "-c", SERVER_CORE, sys.executable, str(HERE / "runner.py"), str(seconds)]
    measured = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for kind, by_clients in measured["calls"].items():
        for clients, result in by_clients.items():
            table.row(ALONE.format(kind), int(clients), {**result, "cpu": nan, "per_cpu": nan, "bad": 0})
    middle = measured["cold_start_ms"]
    print(f"cold start of a no-op model, process to ready: median {middle:.0f} ms of 7 (target: at most 200)")


def bench_live(peers):
    """A program of its own, because its clients are thousands and belong on the load's core."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, HERE / "live.py"]
    command += ["--peers", peers] if peers is not None else []
    subprocess.run([*map(str, command)], check=True)


def bench_files():
    """The test prints what it measured; it fails where the bound does not hold."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "tests/fault/test_large_files.py"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("1 GB")]
    print(lines[0] if lines else f"1 GB in and out: the test did not pass:\n{done.stdout[-2000:]}")
    print(f"1 GB in and out, start and end of the server included: {time.perf_counter() - began:.0f} s")


def bench_command(home):
    """The start of the command and of the server, and the memory of a server that has run one prediction."""
    command = str(Path(sys.executable).with_name("halley"))
    helps = [_milliseconds(lambda: subprocess.run([command, "--help"], stdout=DEVNULL, check=True)) for _ in range(15)]
    print(f"halley --help, ms: {_spread(helps)} (target: at most 100)")
    starts, idle = [], []
    for _ in range(7):
        port = free_port()
        process = subprocess.Popen(
            serve(home, port), env=halley_environment(home), cwd=home, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            account = f"http://127.0.0.1:{port}/v1/account"
            starts.append(_milliseconds(lambda account=account: until(lambda: ask(account), pause_seconds=0.005)))
            create = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"
            until(lambda create=create: ask(create, PROMPT, ("Prefer: wait",)))
            time.sleep(2)
            idle.append(pss_mb(process))
        finally:
            process.terminate()
            process.wait(20)
    print(f"halley serve to the first accepted request, ms: {_spread(starts)} (target: at most 400)")
    print(f"idle server with one no-op replica, MB of PSS: {_spread(idle)} (target: at most 55)")


def _milliseconds(call):
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _spread(figures):
    found = spread(figures)
    return f"median {found.median:.0f} ({found.low:.0f}..{found.high:.0f}) of {len(figures)}"


def summary(table):
    figures = table.figures

    def ratio(title, above, below, key, target=""):
        if above in figures and below in figures and figures[below][key]:
            print(f"{title}: {figures[above][key] / figures[below][key]:.2f}{target}")

    life = ("halley " + LIFE, 64)
    life8 = ("halley " + LIFE, 8)
    get = ("halley " + GET, 64)
    floor_life, floor_create = FLOOR + LIFE, FLOOR + CREATE
    for connections, target in ((64, 0.45), (8, 0.4)):
        ours = ("halley " + LIFE, connections)
        ratio(
            f"lifecycle, of floor per CPU-second at {connections}",
            ours,
            (floor_life, connections),
            "per_cpu",
            f" (target: {target})",
        )
    ratio(
        "lifecycle, p50 of one client, times floor",
        ("halley " + LIFE, 1),
        (floor_life, 1),
        "p50",
        " (target: at most 1.5)",
    )
    ratio(
        "create, of floor per CPU-second at 64",
        ("halley " + CREATE, 64),
        (floor_create, 64),
        "per_cpu",
        " (target: 0.45)",
    )
    ratio(
        "GET, share of nginx return per CPU-second at 64",
        get,
        ("nginx return of the same body", 64),
        "per_cpu",
        " (target: 0.80)",
    )
    asset, sendfile = "halley, a 2 MB asset", "nginx, the same file by sendfile"
    for connections in (1, 16):
        title = f"2 MB asset, share of nginx sendfile per CPU-second at {connections}"
        ratio(title, (asset, connections), (sendfile, connections), "per_cpu", " (target: 0.50)")
    for name, peer in (("cog async", COG), ("LitServe", LITSERVE), ("mosec", MOSEC), ("Celery", CELERY)):
        ratio(f"lifecycle, times {name} at 64", life, (peer, 64), "rate")
        ratio(f"lifecycle, times {name} at 64, per CPU-second", life, (peer, 64), "per_cpu")
    ratio("lifecycle over HTTP, times cog async at 8", life8, (COG, 8), "rate")
    for kind in ("async", "sync"):
        for clients in (1, 8, 64):
            ours, its = (ALONE.format(kind), clients), (CALLED_COG.format(kind), clients)
            target = " (target: 5)" if (kind, clients) == ("async", 64) else ""
            ratio(f"runner alone, {kind}, times cog called by Python at {clients}", ours, its, "rate", target)
        if (ALONE.format(kind), 1) in figures:
            one = figures[ALONE.format(kind), 1]["p50"]
            print(f"runner alone, {kind}, one call after the other: p50 {one:.2f} ms (target: at most 0.35)")
    if life in figures:
        print(f"lifecycle at 64: {figures[life]['rate']:.0f}/s (target: 3000)")
        print(f"create at 64: {figures['halley durable create (and run)', 64]['rate']:.0f}/s (target: 3500)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="the environment that holds the servers of others")
    parser.add_argument("--seconds", type=int, default=3, help="of each stretch")
    every = f"floor,halley,asset,runner,nginx,{','.join(PEERS)},events,command,live,files"
    parser.add_argument("--only", default=every, help=f"rows to measure, of {every}")
    options = parser.parse_args()
    rows = set(options.only.split(","))
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is missing. Type: sudo apt-get install wrk")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        home = Path(folder)
        print(f"this disk: {fdatasyncs_per_second(home):.0f} fdatasync/s one after the other; {os.cpu_count()} cores")
        table = Table()
        if "floor" in rows:
            bench_floor(table, options.seconds, home)
        answer = bench_halley(table, options.seconds, home) if "halley" in rows else "{}"
        if "events" in rows:
            bench_events(options.seconds, home / "events")
        if "runner" in rows:
            bench_runner(table, options.seconds)
        if shutil.which("nginx") is None and rows & {"nginx", "asset"}:
            print("nginx is not installed: left out, and the asset that is compared with it")
            rows -= {"nginx", "asset"}
        if "asset" in rows:
            fresh = home / "asset"
            fresh.mkdir()
            bench_asset(table, options.seconds, fresh)
        if "nginx" in rows:
            bench_nginx(table, options.seconds, home, answer)
        for name, measure in PEERS.items():
            if name not in rows:
                continue
            if options.peers is None or not (options.peers / "bin/python").exists():
                print(f"{name}: left out: it is not installed. Type: scripts/install peers")
                continue
            try:
                measure(table, options.seconds, options.peers.resolve())
            except (OSError, RuntimeError) as error:
                print(f"{name}: left out: {error}")
        if "command" in rows:
            fresh = home / "fresh"  # what a new user has: nothing in the database yet
            fresh.mkdir()
            bench_command(fresh)
        if "live" in rows:
            bench_live(options.peers)
        if "files" in rows:
            bench_files()
        summary(table)


if __name__ == "__main__":
    main()
