"""A clock for pauses, which does not follow changes of the wall clock."""

from datetime import datetime, timedelta

from halley.clock import Clock


class MonotonicWallClock:
    """The wall-clock time at the start of this process, plus the time that has elapsed since.

    A pause between two attempts means elapsed time. If all ends of pauses are set and compared with this clock, none
    must be corrected when the wall clock is set. Times that other processes wrote are compared with it once, at the
    start (`DeliveryStore.take_over`). One instance for all of webhooks.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock  # the clock behind it
        self._wall, self._elapsed = clock.now(), clock.elapsed()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=self.clock.elapsed() - self._elapsed)
