"""Runs an async context in a thread with a loop of its own, for tests that wait for processes."""

import asyncio
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Threaded(ABC):
    """A context manager whose `_serve` runs in the thread until its end."""

    def __init__(self) -> None:
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

    @abstractmethod
    async def _serve(self) -> None:
        """Open what is served, then await `_until_left`."""

    async def _until_left(self) -> None:
        self._is_ready.set()
        await self._end.wait()
