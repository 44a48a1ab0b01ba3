"""A circuit breaker: after several failures in a row a provider gets no new work for some time."""

from typing import Final, Literal

from halley.clock import Clock

FAILURES: Final = 5  # in a row
FIRST_PAUSE_SECONDS: Final = 5.0  # each further one is twice as long
LONGEST_PAUSE_SECONDS: Final = 300.0
PROBE_SECONDS: Final = 60.0  # after this time without an answer, another request may try

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Counts how requests to one provider end. Time is elapsed time, so a clock that is set changes nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._failed_at: float | None = None
        self._open_until: float | None = None
        self._probe_until: float | None = None

    @property
    def state(self) -> State:
        """closed: work is given; open: none; half_open: one request may try."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock.elapsed() < self._open_until else "half_open"

    @property
    def pause_seconds(self) -> float:
        """How long it stays open."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock.elapsed())

    @property
    def is_shaky(self) -> bool:
        """Whether it failed a moment ago: then another provider is preferred."""
        return self._failed_at is not None and self._clock.elapsed() - self._failed_at < FIRST_PAUSE_SECONDS

    def may_begin(self) -> bool:
        """Whether a run may begin there now. Changes nothing."""
        if self.state == "half_open":
            return self._probe_until is None or self._clock.elapsed() >= self._probe_until
        return self.state == "closed"

    def begin(self) -> None:
        """A run begins there: while half open it is the probe, and no other begins before its answer."""
        if self.state == "half_open":
            self._probe_until = self._clock.elapsed() + PROBE_SECONDS

    def give_up(self) -> None:
        """The run that was about to begin there did not begin."""
        self._probe_until = None

    def note(self, *, answered: bool) -> None:
        """A request has ended: with an answer of the service itself, or without one."""
        was_open = self._open_until is not None
        if answered:
            self._failures, self._failed_at, self._open_until, self._probe_until = 0, None, None, None
            self._pause_seconds = FIRST_PAUSE_SECONDS
            return
        self._failures, self._failed_at = self._failures + 1, self._clock.elapsed()
        if was_open and self.state == "open":
            return  # a request of before
        if was_open:
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        if was_open or self._failures >= FAILURES:
            self._open_until = self._clock.elapsed() + self._pause_seconds
            self._probe_until = None
