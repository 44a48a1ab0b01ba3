"""The clock for the removal of data: it does not follow a jump of the wall clock at once.

A wall clock may be set a day ahead by mistake and set back an hour later. Data that is only withheld meanwhile is shown
again; deleted data is lost. So this clock continues evenly through a jump forward, and follows it once the wall clock
has kept the new time for SETTLE_SECONDS. It follows a step back or a small correction at once: removing later does no
harm.

The same rule applies at the start, where the last recorded time replaces the earlier time: a server that was down
follows after the same delay. A sleep of the machine looks like a jump, too.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from halley.clock import Clock

_log = logging.getLogger(__name__)

LEAP: Final = timedelta(seconds=30)  # more than normal corrections of a clock
SETTLE_SECONDS: Final = 3600.0


class RetentionClock:
    """Starts from the last time that is known for certain, None if there is none."""

    def __init__(self, clock: Clock, last_known: datetime | None) -> None:
        self._clock = clock
        now = clock.now()
        self._at = now if last_known is None else min(now, last_known)
        self._monotonic = clock.monotonic()
        ahead = now - self._at
        self._leap = ahead if ahead > LEAP else None  # how far the wall clock is ahead after a jump
        self._leapt_at = self._monotonic

    def now(self) -> datetime:
        """The time that is certain: the wall clock's, or an earlier one."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        even = self._at + timedelta(seconds=monotonic - self._monotonic)
        ahead = wall - even
        if ahead > LEAP and not self._has_settled(ahead, monotonic):
            return even
        self._at, self._monotonic, self._leap = wall, monotonic, None
        return wall

    def _has_settled(self, ahead: timedelta, monotonic: float) -> bool:
        if self._leap is None or abs(ahead - self._leap) > LEAP:
            self._leap, self._leapt_at = ahead, monotonic
            _log.warning(
                "the clock jumped forward by %s: if it stays so for %d minutes, data is removed by the new time",
                timedelta(seconds=round(ahead.total_seconds())),
                SETTLE_SECONDS // 60,
            )
        return monotonic - self._leapt_at >= SETTLE_SECONDS
