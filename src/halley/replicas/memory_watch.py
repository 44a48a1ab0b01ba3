"""Holds a process to its memory limit."""

import asyncio
from collections.abc import Callable
from typing import Final

from halley.replicas.host import Host
from halley.replicas.memory import used_bytes


class MemoryWatch:
    """Measures one process while its model loads or runs; while it is idle its memory does not grow."""

    def __init__(
        self, host: Host, pid: int, limit_bytes: int, *, measured: Callable[[int], None], over: Callable[[int], None]
    ) -> None:
        """`measured` is called with each measurement, `over` with one that is over the limit; that is the last one."""
        self._host: Final = host
        self._pid: Final = pid
        self._limit_bytes: Final = limit_bytes
        self._measured: Final = measured
        self._over: Final = over
        self._busy: Final = asyncio.Event()
        self._busy.set()

    def resume(self) -> None:
        """The process works, or ends: measure again."""
        self._busy.set()

    def pause(self) -> None:
        """The process is idle."""
        self._busy.clear()

    async def run(self) -> None:
        """Measure until it is over the limit, or until cancelled."""
        while True:
            # in a thread: the kernel needs time to count a large process
            used = await asyncio.to_thread(used_bytes, self._pid)
            self._measured(used)
            if used > self._limit_bytes:
                self._over(used)
                return
            await self._host.clock.sleep(self._host.rules.memory_check_seconds)
            await self._busy.wait()
