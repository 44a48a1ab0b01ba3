"""The test build of the server: the real composition with failpoints and, if asked for, planted bugs.

python build.py serve ARGUMENTS...   with KILL_PLANTED=name,name and KILL_CHANCE=0.01 in the environment

`before_commit` and `after_commit` are the failpoints: with the given chance the process kills itself there. The
planted bugs exist only in the store's constructor, and only this build can pass them.
"""

import os
import random
import signal
import sys
from functools import partial

from halley.app import serving
from halley.cli.main import main
from halley.store.sqlite import open_sqlite

PLANTED = frozenset(filter(None, os.environ.get("KILL_PLANTED", "").split(",")))
CHANCE = float(os.environ.get("KILL_CHANCE", "0"))


def failpoint(_name: str, chance: random.Random = random.Random(os.getpid())) -> None:
    if CHANCE and chance.random() < CHANCE:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serving.open_store = partial(open_sqlite, failpoint=failpoint, planted=PLANTED)
    sys.exit(main())
