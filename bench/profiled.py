"""Where the CPU time of a no-op lifecycle goes, by package of the server: scripts/bench --profile [--against COMMIT].

First a stretch of load tells the microseconds of each thread for one lifecycle, by the threads' CPU clocks. In a second
stretch py-spy looks 500 times a second at the stacks, from outside; it stops the server for each look, so that only the
shares are used. A sample belongs to the package of the innermost function of ours, with what that calls of libraries.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psutil
from commits import ROOT, checked_out, described, interpreter, resolve
from halley_server import AUTH, PROMPT, ask, halley_environment, serve, until
from machine import LOAD_CORE, exact_cpu_seconds, free_port, running, wrk

LOOKS_PER_SECOND = 500
LOOP, WRITER, OTHERS, REPLICA = "loop", "writer", "others", "replica"
OUTSIDE = "(event loop and libraries)"  # no function of ours is below the one that runs the loop
RUNS_THE_LOOP = "asyncio/runners.py"


def room(files, package):
    """The package of the innermost file of ours, such as `api`. `files` are those of a stack, the outermost first."""
    for file in reversed(files):
        if RUNS_THE_LOOP in file:
            break
        if file.startswith(f"{package}/"):
            return file.removeprefix(f"{package}/").partition("/")[0].removesuffix(".py")
    return OUTSIDE


def thread_of(title):
    """`title` is py-spy's: `thread (number): name`."""
    return {"MainThread": LOOP, "halley-writer": WRITER}.get(title.rpartition(": ")[2], OTHERS)


def threads(raw):
    """The number of each thread that was seen, and what it is."""
    titles = {line.partition(";")[0] for line in raw.splitlines()}
    return {int(title.partition("(")[2].partition(")")[0]): thread_of(title) for title in titles}


def by_room(raw, package):
    """Samples by thread and room, from py-spy's lines: `thread (number): name;function (file);... samples`."""
    found = {}
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        title, *frames = stack.split(";")
        files = [frame.rpartition(" (")[2].removesuffix(")") for frame in frames]
        found.setdefault(thread_of(title), Counter())[room(files, package)] += int(samples)
    return found


def spread(samples, used):
    """What a thread used, shared out by its samples."""
    seen = sum(samples.values())
    return {name: used * number / seen for name, number in samples.items()} if seen else {OUTSIDE: used}


def table(samples, microseconds):
    """Lines of text: the microseconds of each thread by room, the dearest room first."""
    columns = [spread(samples.get(thread, {}), used) for thread, used in microseconds.items()]
    sums = Counter()
    for column in columns:
        sums.update(column)
    yield f"{'us of CPU for a lifecycle':28}" + "".join(f"{head:>10}" for head in (*microseconds, "all"))
    for name, total in sums.most_common():
        yield f"{name:28}" + "".join(f"{one.get(name, 0.0):>10.1f}" for one in columns) + f"{total:>10.1f}"
    totals = list(microseconds.values())
    yield f"{'all':28}" + "".join(f"{total:>10.1f}" for total in (*totals, sum(totals)))


def clocks(process):
    """CPU seconds of each thread of the server."""
    return {each.id: each.user_time + each.system_time for each in psutil.Process(process.pid).threads()}


def measure(python, package, seconds, spy, home):
    """The lines of the table of one side."""
    home.mkdir()
    port = free_port()
    create = f"http://127.0.0.1:{port}/v1/models/demo/noop/predictions"
    command = serve(home, port, halley=[str(python), "-m", "halley.cli.main"])

    def load():
        waiting, body = (AUTH, "Prefer: wait"), json.dumps(PROMPT)
        return wrk(process, create, connections=64, seconds=seconds, headers=waiting, body=body)["good"]

    with running(command, port, env=halley_environment(home), cwd=home) as process:
        until(lambda: ask(create, PROMPT, ("Prefer: wait",)))
        load()  # what is done once
        before, all_before = clocks(process), exact_cpu_seconds(process)
        good = load()
        after, whole = clocks(process), exact_cpu_seconds(process) - all_before
        raw = look(spy, process, seconds, load, home / "samples")
    seen, used = threads(raw), dict.fromkeys((LOOP, WRITER, OTHERS), 0.0)
    for number, value in after.items():
        used[seen.get(number, OTHERS)] += value - before.get(number, 0.0)
    used[REPLICA] = max(whole - sum(used.values()), 0.0)
    samples = {**by_room(raw, package), REPLICA: Counter({"(the replica's process)": 1})}
    return list(table(samples, {name: value / good * 1e6 for name, value in used.items()}))


def look(spy, process, seconds, load, path):
    """What py-spy says of the server under load."""
    command = ["taskset", "-c", LOAD_CORE, spy, "record", "--pid", process.pid, "--duration", seconds, "--threads"]
    command += ["--rate", LOOKS_PER_SECOND, "--format", "raw", "--full-filenames", "--nolineno", "--output", path]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spying:
        load()
        said = spying.communicate(timeout=seconds + 60)[1]
    if spying.returncode:
        raise SystemExit(f"bench: py-spy could not look into the server: {said.strip()}")
    return path.read_text()


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --profile", description=__doc__)
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peers", type=Path, default=ROOT / ".bench/peers", help="the environment that holds py-spy")
    parser.add_argument("--against", metavar="COMMIT", help="a second table, of that commit")
    parser.add_argument("--seconds", type=int, default=5, help="of each stretch")
    options = parser.parse_args()
    spy = options.peers.resolve() / "bin/py-spy"
    if not spy.exists():
        raise SystemExit("bench: py-spy is missing. Type: scripts/install peers")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER"))))
        sides = {described(): (Path(sys.executable), ROOT)}
        if options.against:
            tree = stack.enter_context(checked_out(resolve(options.against)))
            sides[described(tree)] = (interpreter(tree, home / "python"), tree)
        for number, (title, (python, tree)) in enumerate(sides.items()):
            found = measure(python, tree / "src/halley", options.seconds, spy, home / str(number))
            print(title, *found, "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
