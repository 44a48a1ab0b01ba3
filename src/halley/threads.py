"""Runs work in a thread that uses something its caller releases afterwards: a descriptor, a connection."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

R = TypeVar("R")


async def run_to_completion(
    call: Callable[..., R],
    *args: Any,
    limiter: CapacityLimiter | None = None,
    undo: Callable[[R], object] | None = None,
) -> R:
    """Run `call` in a thread. A caller that is cancelled meanwhile continues only when the thread has finished.

    A thread cannot be stopped. If its caller continued at once and closed a descriptor, the thread could write to
    another file that got the same number. After a cancel, `undo` gets the result, such as an open descriptor.
    """
    import asyncio  # asyncio also imports ssl, which a program that only reads files does not need

    work = asyncio.ensure_future(to_thread.run_sync(call, *args, limiter=limiter))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):  # the caller is being cancelled already
                await asyncio.wait([work])
        if not work.cancelled() and work.exception() is None and undo is not None:
            undo(work.result())
        raise
