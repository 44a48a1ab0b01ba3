"""The first code of ours that a model's interpreter executes.

`python -X utf8 start.py [--parent PID] --data FD --control FD [--output FD,FD,FD] --mode serve|train|inspect
--config JSON`

Does what must happen first, then calls the runner's `main`. A process that the model spawns with `multiprocessing`
reads this file again under another name than `__main__`; then nothing here may run.
"""

from __future__ import annotations

import os
import sys


def _remove_model_paths() -> list[str]:
    """Remove the entries of the model's PYTHONPATH from the search path, so that its `json.py` does not replace
    Python's. Returns them.

    They are returned unchanged: a relative entry is relative to the folder in which the model will work.
    """
    named = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    absolute = {os.path.abspath(place): place for place in named}
    theirs = [
        place for place in sys.path[1:] if place in absolute and not place.startswith((sys.prefix, sys.base_prefix))
    ]
    sys.path[:] = [place for place in sys.path if place not in theirs]
    return [absolute[place] for place in theirs]


def _start() -> None:
    theirs = _remove_model_paths()
    words = sys.argv[1:]
    options = dict(zip(words[::2], words[1::2]))
    missing = [name for name in ("--data", "--control", "--mode", "--config") if name not in options]
    if missing:
        sys.exit("start.py is run by Halley; missing %s" % ", ".join(missing))
    data, control = int(options["--data"]), int(options["--control"])
    output = tuple(int(number) for number in options.get("--output", "").split(",") if number)

    import importlib

    # Our own folder, which is sys.path[0] here, is needed for one import and then removed: `start` and `path` are names
    # that a model may use itself. Only the folder that holds `cog` stays.
    own = sys.path[0]
    # What is loaded before this stays in the memory of the process that supervises: it needs no JSON, for example.
    parent = int(options.get("--parent", 0))
    importlib.import_module("_halley_runner.supervisor").supervise(parent, control, [data, *output])
    import json

    config = json.loads(options["--config"])
    # before any thread starts, and before any file of the model is read
    place = importlib.import_module("_halley_runner.places").enter(config)
    sys.path.insert(1, own + "/path")
    main = importlib.import_module("_halley_runner.main")
    sys.path.remove(own)
    sys.path[1:1] = [os.path.abspath(place) for place in theirs]  # after the folder that holds `cog`
    sys.argv = [sys.argv[0]]
    sys.exit(main.main(own, data, control, output, options["--mode"], config, place))


if __name__ == "__main__":
    _start()
