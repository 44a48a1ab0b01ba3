"""How a process stops: running predictions may end, messages are sent, then the last answers."""

import asyncio
import logging
import signal
import socket
from typing import Final, Protocol

from halley.app.services import Services
from halley.errors import HalleyError

_log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 30.0  # time for running predictions to end after SIGTERM


class Front(Protocol):
    """The server whose end ends the process: its HTTP server."""

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Serve until `stop`."""
        ...

    def stop(self) -> None:
        """Accept nothing new, finish running answers, return from `serve`."""
        ...

    def stop_now(self) -> None:
        """Return from `serve` without finishing answers."""
        ...


class NoFront:
    """Implements `Front` for a process that answers no requests."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()

    async def serve(self, sockets: list[socket.socket]) -> None:
        del sockets
        await self._stop.wait()

    def stop(self) -> None:
        self._stop.set()

    def stop_now(self) -> None:
        self._stop.set()


async def stop_on_signal(parts: Services, front: Front) -> None:
    """First signal: refuse new work, let running predictions end, then stop. Second signal: stop at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def heard() -> None:
        if stop.is_set():
            front.stop_now()
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, heard)
    await stop.wait()
    if parts.answering is not None:
        parts.api.draining = True
    if parts.working is not None:
        await _drain(parts)
    if parts.maintaining is not None:
        await parts.webhooks.drain()
    front.stop()


async def _drain(parts: Services) -> None:
    if parts.worker.running:
        _log.info(
            "stopping: waiting up to %d s for %d running predictions; a second signal stops at once",
            DRAIN_SECONDS,
            parts.worker.running,
        )
    await parts.worker.drain(DRAIN_SECONDS)


async def release_duty(parts: Services) -> None:
    """Let another process maintain at once. Call it after the maintainer has ended."""
    if parts.maintaining is None:
        return
    try:
        await parts.maintainer.release()
    except HalleyError as error:
        _log.warning("another maintainer has to wait until the lease is over: %s", error)
