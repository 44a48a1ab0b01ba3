"""Background services run forever: no full disk, locked database or unusual file ends them.

The one rule for that. A service goes on, turn by turn; a write that must not be given up is tried until it is taken;
what only tidies up never ends the process, whatever it meets: it says so, waits longer each time, and shows.
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
    """What housekeeping could not do, by service, until it succeeds. Shown by the health endpoint."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def note(self, what: str, error: Exception) -> None:
        """It failed now. Paths are only in the log, because any client may read this."""
        self._told[what] = _without_paths(error)

    def clear(self, what: str) -> None:
        """It succeeded."""
        self._told.pop(what, None)

    def told(self) -> Mapping[str, str]:
        """All failures, as text."""
        return dict(self._told)


async def run_forever(turn: Callable[[], Awaitable[object]], clock: Clock, what: str) -> NoReturn:
    """One turn after the other until cancelled; `turn` waits for its time itself. An expected error ends a turn only.

    Anything else is a fault of ours: it rises, and ends the process.
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
    """As `forever`, for housekeeping: whatever a turn meets, it is tried again, later each time."""
    pause = RETRY_SECONDS
    while True:
        try:
            await turn()
        except Exception as error:  # noqa: BLE001 - what only tidies up must not end what it tidies for
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
