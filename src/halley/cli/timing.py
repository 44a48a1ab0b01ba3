"""Time and randomness of the client side, as a value that tests replace."""

from __future__ import annotations

import random
import time
from typing import Protocol


class Timing(Protocol):
    """The operations on time and randomness that waiting code may use."""

    def monotonic(self) -> float:
        """Seconds that never decrease."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block for that long."""
        ...

    def random(self) -> float:
        """A number from 0 up to 1, for jitter."""
        ...


class SystemTiming:
    """The machine's own clock and random numbers."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def random(self) -> float:
        return random.random()  # noqa: S311 - jitter needs no secrecy


class Backoff:
    """Growing pauses with jitter: `start`, then times `factor` up to `top`, each +-20 %."""

    def __init__(self, timing: Timing, *, start: float, factor: float = 2.0, top: float = 30.0) -> None:
        self._timing = timing
        self._start = start
        self._factor = factor
        self._top = top
        self._next = start

    def next_seconds(self) -> float:
        """Return the next pause; the one after it is longer."""
        seconds = self._next * (0.8 + 0.4 * self._timing.random())
        self._next = min(self._next * self._factor, self._top)
        return seconds

    def reset(self) -> None:
        """Begin again with the short pause, after a change."""
        self._next = self._start
