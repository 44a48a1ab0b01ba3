"""The times at which a message is sent again after a failure.

2, 4, 8, 16 and 32 seconds after the previous attempt: as the hosted service documents, the last comes about one minute
after the end of the prediction. With more time the pauses continue to double, up to six hours. Source: contract section
11.2; decision D23.
"""

from collections.abc import Callable
from typing import Final

LONGEST_SECONDS: Final = 6 * 3600.0
SPREAD: Final = 0.2  # of each pause, in both directions: receivers that recover do not get all messages at once

Chance = Callable[[float, float], float]
"""Draws a number between two: `random.Random().uniform`."""


class Schedule:
    """The pauses between attempts, for as long as their sum stays within `total_seconds`."""

    def __init__(self, first_seconds: float, total_seconds: float, chance: Chance) -> None:
        self._first = first_seconds
        self._total = total_seconds
        self._chance = chance

    def pause(self, failures: int, *, at_least: float = 0.0) -> float | None:
        """How long to wait after so many failed attempts (1 after the first one); None if that was the last.

        `at_least` is the receiver's request, limited to the longest pause.
        """
        planned = sum(self._nominal(number) for number in range(1, failures + 1))
        if planned > self._total:
            return None
        spread = self._chance(1 - SPREAD, 1 + SPREAD)
        return max(self._nominal(failures) * spread, min(at_least, LONGEST_SECONDS))

    def _nominal(self, number: int) -> float:
        return min(self._first * 2.0 ** min(number - 1, 60), max(LONGEST_SECONDS, self._first))
