"""A store that takes nothing now is waited out: no full disk and no locked database ends what runs beside the server.

The one rule for that. A service goes on for ever, turn by turn; a write that must not be given up is tried until it is
taken.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeVar

from halley.clock import Clock
from halley.errors import Busy, HalleyError

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0


async def forever(turn: Callable[[], Awaitable[object]], clock: Clock, what: str) -> NoReturn:
    """One turn after the other until cancelled; `turn` waits for its time itself. An expected error ends a turn only.

    Anything else is a fault of ours: it rises, and ends the process.
    """
    while True:
        try:
            await turn()
        except HalleyError as error:
            _log.warning("%s: %s", what, error)
            await clock.sleep(RETRY_SECONDS)


async def patiently(write: Callable[[], Awaitable[T]], clock: Clock, what: str) -> T:
    """What `write` gives, once the store takes it; `what` tells the log who waits."""
    while True:
        try:
            return await write()
        except Busy as busy:
            _log.warning("%s: %s", what, busy)
            await clock.sleep(RETRY_SECONDS)
