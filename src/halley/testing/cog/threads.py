"""Serves fake Cog servers in a thread, for tests that wait for processes."""

import asyncio
import threading
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from halley.testing.cog.server import FakeCog, serve


class ThreadedCogs:
    """The servers, each on a port of its own. A context manager."""

    def __init__(self, *cogs: FakeCog) -> None:
        self.cogs = cogs
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        self._loop.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            for cog in self.cogs:
                await stack.enter_async_context(serve(cog))
            self._is_ready.set()
            await self._end.wait()
