"""This checkout beside another commit of ours: python bench/against.py --against COMMIT [--rounds 5] [--rows NAME,...].

Each round starts one server of each side with fresh data, and asks both for every row, the order of the sides turned
from round to round. Figures are requests per CPU-second of the server and all its child processes; the columns "of
floor" compare them with those of bench/floor.py in the same rounds. Exit code 1: a row is worse by more than 5 % and
below all that the other commit showed; 2: nothing could be measured. Use a machine that does nothing else, and no fewer
than three rounds: one has no spread.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from commits import ROOT, NoSuchCommit, checked_out, described, interpreter, resolve
from halley_server import halley_environment, serve, serve_floor
from machine import LOAD_CORE, free_port, running
from rows import MODELS, ROWS, Floor, NotServed, Server
from verdict import judge, median, order, table

FAULTS = (NotServed, OSError, RuntimeError, KeyError, subprocess.SubprocessError)


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextmanager
def server(name, python, home):
    """A prepared server of one side; what it says goes to server.log, whose end is shown if it does not start."""
    home.mkdir()
    port, log = free_port(), home / "server.log"
    command = serve(home, port, MODELS, [str(python), "-m", "halley.cli.main"])
    with log.open("wb") as file, ExitStack() as stack:
        try:
            process = stack.enter_context(running(command, port, env=halley_environment(home), cwd=home, log=file))
            side = Server(name, process, port)
            side.prepare()
        except FAULTS as error:
            say(f"bench: {name}: no server: {error}\n{log.read_text(errors='replace')[-2000:]}")
            sys.exit(2)
        yield side


@contextmanager
def floor(home):
    """The bare program, prepared as the servers are."""
    home.mkdir()
    port = free_port()
    with running(serve_floor(port, home), port) as process:
        bare = Floor(process, port)
        bare.prepare()
        yield bare


def measure(row, side, options):
    """A figure, or the reason why there is none."""
    try:
        return ROWS[row].measure(side, options.seconds, options.has_wrk)
    except FAULTS as error:
        return str(error) or type(error).__name__


def rounds(pythons, options, folder):
    """For each row and side, one entry per round; the third side is the floor, with the rows that others refer to."""
    found = {row: {"this": [], "other": []} for row in options.rows}
    bare_rows = {ROWS[row].floor: [] for row in options.rows}
    for number in range(options.rounds):
        with ExitStack() as stack:
            bare = stack.enter_context(floor(folder / f"{number}-floor"))
            sides = {
                name: stack.enter_context(server(name, python, folder / f"{number}-{name}"))
                for name, python in pythons.items()
            }
            for row, figures in bare_rows.items():
                figures.append(measure(row, bare, options))
                say(f"round {number + 1} of {options.rounds}: floor: {ROWS[row].title}: {_figure(figures[-1])}")
            for row in options.rows:
                for name in order(number):
                    found[row][name].append(measure(row, sides[name], options))
                shown = ", ".join(f"{name} {_figure(found[row][name][-1])}" for name in ("this", "other"))
                say(f"round {number + 1} of {options.rounds}: {ROWS[row].title}: {shown}")
        for name in ("floor", *pythons):
            shutil.rmtree(folder / f"{number}-{name}")
    return found, bare_rows


def _figure(figure):
    return figure if isinstance(figure, str) else f"{figure:.0f}"


def report(found, bare_rows, options, commits):
    judged = {row: judge(found[row]["this"], found[row]["other"]) for row in options.rows}
    floors = {row: median(bare_rows[ROWS[row].floor]) for row in options.rows}
    print(f"this:  {commits['this']}\nother: {commits['other']}")
    titled = {ROWS[row].title: one for row, one in judged.items()}
    print("\n".join(table(titled, {ROWS[row].title: one for row, one in floors.items()})))
    if options.json is not None:
        rows = {row: {"title": ROWS[row].title, "rounds": found[row], **asdict(judged[row])} for row in options.rows}
        about = {"load": "wrk" if options.has_wrk else "bench/load.py", "seconds": options.seconds, "floor": bare_rows}
        options.json.write_text(json.dumps({"commits": commits, **about, "rows": rows}, indent=2) + "\n")
    return any(one.is_worse for one in judged.values())


def parsed():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", required=True, help="a commit, branch or tag of this repository")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--seconds", type=int, default=3, help="of each stretch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    options.rows = options.rows.split(",")
    if unknown := [row for row in options.rows if row not in ROWS]:
        parser.error(f"no such row: {', '.join(unknown)}. Rows: {', '.join(ROWS)}")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    options.has_wrk = shutil.which("wrk") is not None
    return options


def main():
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C, it passes through what cleans up
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    try:
        commit = resolve(options.against)
    except NoSuchCommit:
        say(f"bench: this repository has no commit {options.against}")
        sys.exit(2)
    if (busy := os.getloadavg()[0]) > 1:
        say(f"bench: others work on this machine (load {busy:.1f}): the figures will spread")
    with checked_out(commit) as tree, tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        home = Path(folder)
        pythons = {"this": interpreter(ROOT, home / "this", say), "other": interpreter(tree, home / "other", say)}
        commits = {"this": described(), "other": described(tree)}
        is_worse = report(*rounds(pythons, options, home), options, commits)
    sys.exit(1 if is_worse else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
