"""Checks many links of one input without blocking the event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from halley.predictions.large import Link

_AT_ONCE: Final = 10_000  # characters: checking them takes some milliseconds at most
_EACH: Final = 500  # cost of any link, even a short one, in characters


async def with_pauses(links: Iterable[Link]) -> AsyncIterator[Link]:
    """Yield the links one by one; other tasks run after some of them."""
    looked_at = 0
    for link in links:
        yield link
        looked_at += _EACH + len(link[1])
        if looked_at > _AT_ONCE:
            looked_at = 0
            await asyncio.sleep(0)
