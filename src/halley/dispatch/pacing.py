"""Limits how often a run's progress bar becomes an event: a fast bar must not fill the event log."""

import asyncio
from collections.abc import Callable
from typing import Final

from halley.predictions.records import Step
from halley.predictions.tqdm_parser import TqdmParser

STEP_SECONDS: Final = 0.25  # more than four a second are not visible to a person


class StepPace:
    """Passes on the steps in log text, at most one in STEP_SECONDS, and always the last one."""

    def __init__(self, hand_on: Callable[[Step], None]) -> None:
        self._hand_on = hand_on
        self._bars = TqdmParser()
        self._last: Step | None = None  # the last one passed on
        self._next: Step | None = None  # waits for the timer
        self._timer: asyncio.TimerHandle | None = None

    def read(self, text: str) -> None:
        """Read more log text."""
        step = self._bars.read(text)
        if step is not None:
            self._next = step
            if self._timer is None:
                self._tell()

    def end(self) -> None:
        """There is no more text: pass on the waiting step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next = self._bars.rest() or self._next
        self._hand_on_next()

    def _tell(self) -> None:
        self._timer = None
        if self._hand_on_next():
            self._timer = asyncio.get_running_loop().call_later(STEP_SECONDS, self._tell)

    def _hand_on_next(self) -> bool:
        step, self._next = self._next, None
        if step is None or step == self._last:
            return False
        self._last = step
        self._hand_on(step)
        return True
