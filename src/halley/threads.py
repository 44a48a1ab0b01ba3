"""Work in a thread that uses what its caller gives back afterwards: a descriptor, a connection."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

R = TypeVar("R")


async def to_its_end(
    call: Callable[..., R],
    *args: Any,
    limiter: CapacityLimiter | None = None,
    undo: Callable[[R], object] | None = None,
) -> R:
    """Run it in a thread. Who is cancelled meanwhile goes on only when the thread is done.

    A thread cannot be stopped: if its caller went on at once, the number of the descriptor that it closes could be
    another file's when the thread writes to it. `undo` then gets what nobody else does, such as an open descriptor.
    """
    import asyncio  # it brings ssl along, which a program that only looks at files need not have

    work = asyncio.ensure_future(to_thread.run_sync(call, *args, limiter=limiter))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):  # we are cancelled already
                await asyncio.wait([work])
        if not work.cancelled() and work.exception() is None and undo is not None:
            undo(work.result())
        raise
