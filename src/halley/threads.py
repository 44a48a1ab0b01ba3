"""Runs work in a thread: what uses something that its caller releases afterwards, and what is made once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")


class MadeOnce(Generic[R]):
    """What its first use makes, in a thread: loading a hundred modules would delay the requests of others."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make: Final = make
        self._making: asyncio.Future[R] | None = None

    async def get(self) -> R:
        """What was made. All who ask meanwhile wait for the same; if it cannot be made, the next use tries again."""
        import asyncio

        made = self._making
        if made is None or (made.done() and (made.cancelled() or made.exception() is not None)):
            made = self._making = asyncio.ensure_future(to_thread.run_sync(self._make))
        return await asyncio.shield(made)


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
