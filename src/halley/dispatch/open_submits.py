"""Submits of this process that have no answer yet.

A lease can be lost while its submit is under way, and this process may claim the prediction again: it must not look for
the run, or submit it, before that answer is here.
"""

import asyncio
from collections.abc import Awaitable, Callable


class OpenSubmits:
    """Shared by all runs of a worker."""

    def __init__(self) -> None:
        self.leases_hold: Callable[[], bool] = lambda: (
            True
        )  # of this worker, as far as it knows without a look at the store
        self._open: dict[str, asyncio.Future[str | None]] = {}  # by prediction

    async def run(self, prediction_id: str, submit: Callable[[], Awaitable[str | None]]) -> str | None:
        """The answer of the submit; all who wait for it get it."""
        end = self._open[prediction_id] = asyncio.get_running_loop().create_future()
        handle = None
        try:
            handle = await submit()
        finally:
            if self._open.get(prediction_id) is end:
                del self._open[prediction_id]
            end.set_result(handle)
        return handle

    async def end(self, prediction_id: str) -> str | None:
        """Wait for the submit of an earlier lease; returns its handle, None if there is none."""
        submit = self._open.get(prediction_id)
        return None if submit is None else await asyncio.shield(submit)
