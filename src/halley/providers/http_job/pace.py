"""Spreads creates over time, if the job file has `creates_per_minute`."""

from math import ceil

from halley.clock import Clock
from halley.errors import ProviderBusy


class CreatePace:
    """At most so many creates per minute, one after the other."""

    def __init__(self, clock: Clock, per_minute: float | None) -> None:
        """None: any number."""
        self._clock = clock
        self._seconds = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    @property
    def paused_seconds(self) -> float:
        """How long no create may be sent."""
        return max(self._next - self._clock.monotonic(), 0.0) if self._seconds else 0.0

    def room(self) -> int | None:
        """How many creates may be without an answer now; None: any number."""
        return None if not self._seconds else 0 if self.paused_seconds > 0 else 1

    def take(self) -> None:
        """Note that a create is sent now.

        Raises:
            ProviderBusy: none may be sent now.
        """
        if (seconds := self.paused_seconds) > 0:
            raise ProviderBusy(
                "It gets no more creates now (creates_per_minute).",
                retry_after_seconds=max(ceil(seconds), 1),
                was_asked=False,
            )
        if self._seconds:
            self._next = self._clock.monotonic() + self._seconds
