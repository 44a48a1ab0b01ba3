"""The test build of the server: the real composition with failpoints and, if asked for, planted bugs.

python build.py serve --port N --data DIR --config FILE [PATH ...]

KILL_CHANCE=0.01 in the environment: at `before_commit` and `after_commit` the process kills itself with that chance.
KILL_PLANTED=name,name switches on bugs that exist only in the store's constructor: only this build can pass them.
"""

import argparse
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

from halley.app import run_server
from halley.settings import process_environ, read_settings
from halley.store.sqlite import open_sqlite

PLANTED = frozenset(filter(None, os.environ.get("KILL_PLANTED", "").split(",")))
CHANCE = float(os.environ.get("KILL_CHANCE", "0"))


def failpoint(_name: str, chance: random.Random = random.Random(os.getpid())) -> None:
    if CHANCE and chance.random() < CHANCE:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("serve")
    parser.add_argument("paths", nargs="*", type=Path)
    for name in ("--host", "--port", "--data", "--config"):
        parser.add_argument(name)
    options = parser.parse_args()
    flags = {"server.host": options.host, "server.port": int(options.port), "data": options.data}
    return run_server(
        read_settings(process_environ(), config=Path(options.config), flags=flags),
        paths=options.paths,
        demo=False,
        announce=lambda started: print(f"serving at {started.url}", flush=True),
        open_store=partial(open_sqlite, failpoint=failpoint, planted=PLANTED),
    )


if __name__ == "__main__":
    sys.exit(main())
