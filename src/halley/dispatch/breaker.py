"""A circuit breaker: after several failures in a row a provider gets no new work for some time."""

from collections.abc import Callable
from typing import Final, Literal

from halley.clock import Clock

FAILURES: Final = 5  # requests in a row without an answer of the service
UNCLEAR: Final = 3  # submits in a row whose outcome is unknown
FIRST_PAUSE_SECONDS: Final = 5.0  # each further one is twice as long
LONGEST_PAUSE_SECONDS: Final = 300.0
PROBE_SECONDS: Final = 60.0  # after this time without an answer, another request may be the probe

BreakerState = Literal["closed", "open", "half_open"]
OnChange = Callable[[BreakerState, float], None]
"""Called with a new state, and the seconds of its pause if it is open."""


class Breaker:
    """Counts how requests to one provider end. Time is elapsed time, so setting the clock changes nothing.

    A poll says little about submits. So if submits opened the breaker, only a submit closes it.
    """

    def __init__(self, clock: Clock, *, on_change: OnChange | None = None) -> None:
        self._clock = clock
        self._on_change = on_change
        self._told: BreakerState = "closed"
        self.opened = 0  # how many times, further pauses included
        self._failures = 0
        self._unclear = 0
        self._is_by_submits = False
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._failed_at: float | None = None
        self._avoid_until = 0.0
        self._open_until: float | None = None
        self._probe_until: float | None = None

    @property
    def state(self) -> BreakerState:
        """closed: work is given; open: none; half_open: one request may try."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock.elapsed() < self._open_until else "half_open"

    @property
    def pause_seconds(self) -> float:
        """How long it stays open, in seconds; 0 if it is not open."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock.elapsed())

    @property
    def has_failed_recently(self) -> bool:
        """Whether it failed a moment ago: then another provider is preferred."""
        return self._clock.elapsed() < self.suspect_until

    @property
    def suspect_until(self) -> float:
        """When `has_failed_recently` becomes false, in elapsed time: the earliest of several is preferred."""
        failed = 0.0 if self._failed_at is None else self._failed_at + FIRST_PAUSE_SECONDS
        return max(failed, self._avoid_until)

    def may_begin(self) -> bool:
        """Whether a run may begin there now. Changes nothing."""
        if self.state == "half_open":
            return self._probe_until is None or self._clock.elapsed() >= self._probe_until
        return self.state == "closed"

    def begin(self) -> None:
        """A run begins there. While half open, this run is the probe, and no other begins before the probe has an
        answer.
        """
        if self.state == "half_open":
            self._probe_until = self._clock.elapsed() + PROBE_SECONDS
            if self._told != "half_open":  # slots are also taken and given back
                self._tell("half_open")

    def give_up(self) -> None:
        """The run that was about to begin there did not begin."""
        self._probe_until = None

    def avoid(self) -> None:
        """It did not accept a run: prefer other providers for a moment. If it was the probe, another may follow."""
        self._avoid_until = self._clock.elapsed() + FIRST_PAUSE_SECONDS
        self.give_up()

    def note(self, *, answered: bool) -> None:
        """A request has ended: with an answer of the service itself, or without one."""
        if answered:
            self._failures, self._failed_at = 0, None
            if not self._is_by_submits:
                self._close()
            return
        self._failures, self._failed_at = self._failures + 1, self._clock.elapsed()
        if self.state == "half_open" or (self.state == "closed" and self._failures >= FAILURES):
            self._open()

    def note_submit(self, *, is_clear: bool) -> None:
        """A submit has ended: the service accepted or refused it, or it is not known whether it did."""
        if is_clear:
            self._unclear, self._is_by_submits, self._avoid_until = 0, False, 0.0
            self._close()
            return
        self.avoid()
        self._unclear += 1
        if self._unclear >= UNCLEAR:
            self._is_by_submits = True
        if self.state == "half_open" or (self.state == "closed" and self._is_by_submits):
            self._open()

    def _open(self) -> None:
        if self._open_until is not None:
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        self._open_until = self._clock.elapsed() + self._pause_seconds
        self._probe_until = None
        self.opened += 1
        self._tell("open")

    def _close(self) -> None:
        self._pause_seconds = FIRST_PAUSE_SECONDS
        if self._open_until is not None:
            self._open_until = self._probe_until = None
            self._tell("closed")

    def _tell(self, state: BreakerState) -> None:
        self._told = state
        if self._on_change is not None:
            self._on_change(state, self.pause_seconds)
