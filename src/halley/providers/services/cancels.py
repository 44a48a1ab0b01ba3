"""Carries a cancel to the service, in tasks of its own: `Provider.cancel` waits for nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from halley.clock import Clock
from halley.egress.errors import AddressRefused, FetchFailed, TooLarge
from halley.providers.services.api import Answer
from halley.providers.services.pace import ServicePace

_log: Final = logging.getLogger(__name__)

TRIES_SECONDS: Final = (0.0, 1.0, 4.0, 10.0)  # before each try
GRACE_SECONDS: Final = 20.0  # for the service to show the end of a run that it was asked to cancel


Ask = Callable[[str], Awaitable[Answer]]
"""Sends the request that cancels the run of this handle.

Raises:
    FetchFailed, TooLarge, AddressRefused: there was no complete answer.
"""


class CancelableRun(Protocol):
    """A run, as a cancel needs it."""

    handle: str
    is_canceled: bool

    def hasten(self) -> None:
        """Poll soon: its state may have changed."""
        ...

    def give_up(self) -> None:
        """Stop following the run although it has not ended."""
        ...


class UpstreamCancels:
    """The cancel requests that are being sent."""

    def __init__(self, ask: Ask, pace: ServicePace, clock: Clock, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._ask = ask
        self._pace = pace
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, run: CancelableRun) -> None:
        """Cancel the run; if the service shows no end in the grace period, it is given up."""
        if not run.is_canceled:
            run.is_canceled = True
            task = asyncio.ensure_future(self._cancel(run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End the tasks. A run whose cancel has not arrived continues."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cancel(self, run: CancelableRun) -> None:
        try:
            if await self._arrives(run):
                run.hasten()
                await self._clock.sleep(self._grace_seconds)
        finally:
            run.give_up()

    async def _arrives(self, run: CancelableRun) -> bool:
        for number, seconds in enumerate(TRIES_SECONDS):
            await self._clock.sleep(max(seconds, self._pace.paused_seconds))
            try:
                answer = await self._ask(run.handle)
            except (FetchFailed, TooLarge, AddressRefused):
                continue
            if answer.status < 300:
                return True
            # it cannot cancel, or does not know this run; right after the create it may not know it yet
            if answer.status in (405, 501) or (answer.status in (404, 410) and number > 0):
                break
        _log.warning("the run %s could not be canceled at its service, and may continue there", run.handle)
        return False
