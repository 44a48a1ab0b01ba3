"""Keeps background services running: a full disk, a locked database or an unusual file does not end them.

A service repeats its step forever; a write that must not be lost is retried until the store accepts it; housekeeping
never ends the process: after any error it logs the error, waits longer each time, and the health endpoint shows it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn, TypeVar

from halley.clock import Clock
from halley.errors import Busy, HalleyError

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 60.0


class HousekeepingFaults:
    """Errors of housekeeping, by service, until it succeeds again. Shown by the health endpoint."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def note(self, what: str, error: Exception) -> None:
        """Record a failure. Paths are written to the log only, because any client may read this."""
        self._told[what] = _without_paths(error)

    def clear(self, what: str) -> None:
        """Record a success."""
        self._told.pop(what, None)

    def texts(self) -> Mapping[str, str]:
        """All failures, as text."""
        return dict(self._told)


async def run_forever(turn: Callable[[], Awaitable[object]], clock: Clock, what: str) -> NoReturn:
    """Repeat `turn` until cancelled; `turn` itself waits for its time. An expected error ends one turn only.

    Any other error is a bug of ours: it is raised, and ends the process.
    """
    while True:
        try:
            await turn()
        except HalleyError as error:
            _log.warning("%s: %s", what, error)
            await clock.sleep(RETRY_SECONDS)


async def run_housekeeping(
    turn: Callable[[], Awaitable[object]], clock: Clock, what: str, housekeeping_faults: HousekeepingFaults
) -> NoReturn:
    """As `run_forever`, for housekeeping: after any error `turn` is repeated, with growing pauses."""
    pause = RETRY_SECONDS
    while True:
        try:
            await turn()
        except Exception as error:  # noqa: BLE001 - housekeeping must not end the server
            _log.warning("%s: %s", what, error, exc_info=not isinstance(error, HalleyError | OSError))
            housekeeping_faults.note(what, error)
            await clock.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
        else:
            housekeeping_faults.clear(what)
            pause = RETRY_SECONDS


async def retry_until_accepted(write: Callable[[], Awaitable[T]], clock: Clock, what: str) -> T:
    """The result of `write`, once the store accepts it; `what` names the waiting part in the log."""
    while True:
        try:
            return await write()
        except Busy as busy:
            _log.warning("%s: %s", what, busy)
            await clock.sleep(RETRY_SECONDS)


def _without_paths(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, HalleyError) else type(error).__name__
