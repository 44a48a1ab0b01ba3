"""`halley` with a counter inside: SIGUSR2 writes what its memory holds as JSON to the file that COUNTS_FILE names.

`tasks` are the asyncio tasks by their coroutines, `objects` the living objects of our classes and of those that serve
connections, `items` how much is in the containers that our objects hold, by attribute: what grows with the work
although the work is over is seen in one of them. The collector does not know structs of plain values (msgspec does not
track them): these count only as far as our objects hold them, as an attribute or in its containers.
"""

import asyncio
import enum
import gc
import json
import os
import runpy
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from halley.cli.main import main

CONTAINERS = (dict, list, set, deque)  # and what is derived from them
OURS = "halley."
OTHERS = ("asyncio.", "_asyncio.", "uvloop.", "aiohttp.", "httpx2.", "httpcore2.", "uvicorn.", "sqlite3.")
DEPTH = 4  # containers within containers


def count() -> dict[str, dict[str, int]]:
    gc.unfreeze()  # the server freezes what it has made at its start
    gc.collect()
    objects: Counter[str] = Counter()
    items: Counter[str] = Counter()
    untracked: dict[int, object] = {}
    for thing in gc.get_objects():
        name = class_of(thing)
        if name.startswith((OURS, *OTHERS)):
            objects[name] += 1
        if name.startswith(OURS):
            for attribute, value in values_of(thing):
                found = list(held(value))
                if isinstance(value, CONTAINERS):
                    items[f"{name}.{attribute}"] += len(found)
                untracked.update((id(one), one) for one in (value, *found) if is_untracked(one))
    objects.update(class_of(one) for one in untracked.values())
    tasks = Counter(name_of(task) for task in asyncio.all_tasks(asyncio.get_running_loop()))
    return {"tasks": dict(tasks), "objects": dict(objects), "items": dict(items)}


def class_of(thing: object) -> str:
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


def is_untracked(thing: object) -> bool:
    return not gc.is_tracked(thing) and class_of(thing).startswith(OURS) and not isinstance(thing, enum.Enum)


def held(value: object, depth: int = DEPTH) -> Iterator[object]:
    """What is in a container or a tuple, and in those that are in it."""
    if depth and isinstance(value, (*CONTAINERS, tuple)):
        for one in list(value.values() if isinstance(value, dict) else value):
            yield one
            yield from held(one, depth - 1)


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
