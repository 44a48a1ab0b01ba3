"""`halley` with a counter inside: SIGUSR2 writes what its memory holds as JSON to the file that COUNTS_FILE names.

`tasks` are the asyncio tasks by their coroutines, `objects` the living objects of our own classes, `items` the lengths
of the containers that they hold: what grows with the work although the work is over is seen in one of them.
"""

import asyncio
import gc
import json
import os
import runpy
import signal
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from halley.cli.main import main

CONTAINERS = (dict, list, set, deque, OrderedDict, defaultdict, Counter)


def count() -> dict[str, dict[str, int]]:
    gc.unfreeze()  # the server freezes what it has made at its start
    gc.collect()
    objects: Counter[str] = Counter()
    items: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name.startswith(
            ("halley.", "asyncio.", "uvloop.", "aiohttp.", "httpx.", "httpcore.", "uvicorn.", "sqlite3.")
        ):
            objects[name] += 1
        if name.startswith("halley."):
            for attribute, value in values_of(thing):
                if isinstance(value, CONTAINERS):
                    items[f"{name}.{attribute}"] += len(value)
    tasks = Counter(name_of(task) for task in asyncio.all_tasks(asyncio.get_running_loop()))
    return {"tasks": dict(tasks), "objects": dict(objects), "items": dict(items)}


def values_of(thing: object) -> list[tuple[str, Any]]:
    found = list(getattr(thing, "__dict__", {}).items())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            value = getattr(thing, slot, None)
            if value is not None:
                found.append((slot, value))
    return found


def name_of(task: "asyncio.Task[Any]") -> str:
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", coroutine))


def write(_: int, __: FrameType | None) -> None:
    path = Path(os.environ["COUNTS_FILE"])
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(count()))
    partial.replace(path)


def become(path: str, arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """The command line replaces its process by the server's: by this program again, with the server inside."""
    own = [arguments[0], "-P", __file__, *arguments[arguments.index("halley.cli.start") + 1 :]]
    _execve(path, own, environ)


_execve = os.execve

if __name__ == "__main__":
    if sys.argv[1] == "serving":
        signal.signal(signal.SIGUSR2, write)
        runpy.run_module("halley.cli.start", run_name="__main__", alter_sys=True)
    else:
        os.execve = become  # type: ignore[assignment]
        main()
