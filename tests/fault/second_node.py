"""A second node that takes expired work back: python second_node.py DATABASE

Each line on standard input is one try. It answers with one line of JSON: the predictions that were taken back, and how
many of them wait for another attempt.
"""

import json
import sys
from pathlib import Path
from typing import Any

import anyio

from halley.clock import SystemClock
from halley.store.sqlite import open_sqlite
from halley.testing.stores.maker import on_duty


async def take_back(path: Path) -> dict[str, Any]:
    """Open, reap, close: what a node does that comes by once."""
    clock = SystemClock()
    async with open_sqlite(path, clock=clock) as store:
        reaped = await store.reap(await on_duty(store), clock.now())
    return {"reaped": [item.prediction.id for item in reaped], "again": sum(item.requeued for item in reaped)}


if __name__ == "__main__":
    for _ in sys.stdin:
        print(json.dumps(anyio.run(take_back, Path(sys.argv[1]))), flush=True)
