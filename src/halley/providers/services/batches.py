"""Goes through many items in batches, so that other tasks run in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

from anyio import to_thread

from halley.dispatch.ports import Emit, Progress

_PARTS_AT_ONCE: Final = 500
_ITEMS_AT_ONCE: Final = 200

T = TypeVar("T")


async def emit_all(parts: Iterator[Progress], emit: Emit, *, is_large: bool) -> bool:
    """Report these parts; returns whether there are any. With `is_large` they are made in a thread."""
    has_any = False
    while batch := await (to_thread.run_sync(_some, parts) if is_large else _at_once(parts)):
        has_any = True
        for part in batch:
            emit(part)
    return has_any


async def with_yields(items: Iterable[T]) -> AsyncIterator[T]:
    """The same items; after each batch of them, other tasks run."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _ITEMS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _some(parts: Iterator[Progress]) -> list[Progress]:
    return list(islice(parts, _PARTS_AT_ONCE))


async def _at_once(parts: Iterator[Progress]) -> list[Progress]:
    return list(parts)
