"""Whether this server can accept work: tries a small write when a client asks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from halley.clock import Clock
from halley.errors import HalleyError

_log: Final = logging.getLogger(__name__)

FRESH_SECONDS: Final = 2.0  # how long a successful write is valid
RETRY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 3.0  # a busy machine may be slow; a load balancer takes no answer for a failure
_SLOW: Final = "A write takes longer than 3 seconds: another process may hold the database, or the disk is very slow."


class StoreCheck:
    """Tries a write on request, once for all requests within a few seconds. `turn` must be running."""

    def __init__(
        self, try_write: Callable[[], Awaitable[None]], clock: Clock, *, refusals: Callable[[], int] = lambda: 0
    ) -> None:
        """`refusals` counts refused writes of others: a new one outweighs an earlier success."""
        self._try_write = try_write
        self._refusals = refusals
        self._refusals_seen = 0
        self._clock = clock
        self._asked = asyncio.Event()
        self._done = asyncio.Event()
        self._fault: str | None = None
        self._fresh_until = -1.0

    async def fault(self) -> str | None:
        """Why the store would refuse a create now, or None."""
        if self._clock.monotonic() >= self._fresh_until or self._refusals() != self._refusals_seen:
            self._asked.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._done.wait()
                    return self._fault
            self._fault = self._fault or _SLOW
        return self._fault

    async def turn(self) -> None:
        """Wait for a request, and try a write."""
        await self._asked.wait()
        self._fault = await self._try()
        self._refusals_seen = self._refusals()
        seconds = FRESH_SECONDS if self._fault is None else RETRY_SECONDS
        self._fresh_until = self._clock.monotonic() + seconds
        self._asked.clear()
        done, self._done = self._done, asyncio.Event()
        done.set()

    async def _try(self) -> str | None:
        try:
            await self._try_write()
        except HalleyError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - for any error, nothing can be written
            _log.exception("the store cannot be written")
            return "The database cannot be written; the server's log has the details."
        return None
