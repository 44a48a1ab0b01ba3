"""The first lines that a model's interpreter executes for us.

`python -X utf8 start.py --data FD --control FD --mode serve|train|inspect --config JSON`

Does what must happen first, then hands over. A process that the model spawns with `multiprocessing` reads
this file again under another name than `__main__`, and must find nothing to do in it.
"""

from __future__ import annotations

import sys
from typing import Optional


def _die_with_parent(parent_pid: Optional[int]) -> None:
    """Ask the kernel to kill this process when the thread that started it ends; leave if it is too late."""
    import ctypes
    import os
    import signal

    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGKILL), 0, 0, 0)
    # between fork and prctl the parent may have died, and nothing would tell us
    if parent_pid and os.getppid() != parent_pid:
        os._exit(0)


def _start() -> None:
    import json

    words = sys.argv[1:]
    options = dict(zip(words[::2], words[1::2]))
    missing = [name for name in ("--data", "--control", "--mode", "--config") if name not in options]
    if missing:
        sys.exit("start.py is run by Halley; missing %s" % ", ".join(missing))
    config = json.loads(options["--config"])
    _die_with_parent(config.get("parent_pid"))

    import importlib

    # Our own folder, which is sys.path[0] here, is needed for one import and then gone: `start` and `path` are
    # words that a model may use itself. What stays is the folder that holds `cog` and nothing else.
    own = sys.path[0]
    sys.path.insert(1, own + "/path")
    main = importlib.import_module("_halley_runner.main")
    sys.path.remove(own)
    sys.argv = [sys.argv[0]]
    sys.exit(main.main(own, int(options["--data"]), int(options["--control"]), options["--mode"], config))


if __name__ == "__main__":
    _start()
