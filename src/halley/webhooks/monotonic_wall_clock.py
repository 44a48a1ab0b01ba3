"""Time for pauses. It cannot be set."""

from datetime import datetime, timedelta

from halley.clock import Clock


class MonotonicWallClock:
    """What the wall clock showed at the start of this process, and all that has passed since.

    A pause between two attempts means time that passes. If every time that ends one is told and compared by this, none
    has to be corrected when the wall clock is set. What other processes wrote is compared with it once, at the start
    (`DeliveryStore.take_over`). One for all of webhooks.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock  # the one that it is made from
        self._wall, self._elapsed = clock.now(), clock.elapsed()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=self.clock.elapsed() - self._elapsed)
