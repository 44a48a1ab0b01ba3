"""Calls the model's own health check, beside running predictions."""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional

from .faults import one_line
from .frames import pack, to_json
from .library import load_asyncio

LIMIT_SECONDS = 5.0

Tell = Callable[[bytes], None]


class Health:
    """One check at a time, in its own thread; an async check runs in the event loop of the predictions."""

    def __init__(self, check: Any, loop: Any, folder: str) -> None:
        self._check = check
        self._loop = loop
        self._folder = folder
        self._running: Optional[threading.Thread] = None

    def ask(self, number: int, tell: Tell) -> None:
        """Run the check and send a `health` frame, at the latest after the time limit (control thread; returns at
        once).
        """
        if self._check is None:
            tell(_answer(number, None))
        elif self._running is not None and self._running.is_alive():
            tell(_answer(number, "the last healthcheck still runs"))
        else:
            threading.Thread(target=self._watch, args=(number, tell), daemon=True, name="halley").start()

    def _watch(self, number: int, tell: Tell) -> None:
        said = ["healthcheck did not return within %g s" % LIMIT_SECONDS]

        def run() -> None:
            said[0] = self._fault()

        self._running = threading.Thread(target=run, daemon=True, name="healthcheck")
        self._running.start()
        self._running.join(LIMIT_SECONDS)
        tell(_answer(number, said[0] or None))

    def _fault(self) -> str:
        """What is wrong; empty if nothing is. Only False fails: a check that returns nothing has passed."""
        try:
            result = self._check()
            if hasattr(result, "__await__"):
                result = self._awaited(result)
        except BaseException as error:  # a check that calls sys.exit has failed; the process continues
            return one_line(error, self._folder)
        return "healthcheck returned False" if result is False else ""

    def _awaited(self, coroutine: Any) -> Any:
        asyncio = load_asyncio()
        if self._loop is not None and self._loop.is_running():
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT_SECONDS)
        return asyncio.run(coroutine)


def _answer(number: int, fault: Optional[str]) -> bytes:
    status = "healthy" if fault is None else "unhealthy"
    return pack('{"t":"health","n":%d,"status":"%s","error":%s}' % (number, status, to_json(fault)))
