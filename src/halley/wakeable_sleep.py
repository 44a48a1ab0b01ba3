"""A sleep that another task can end early."""

from anyio import CancelScope

from halley.clock import Clock

_LONG_SECONDS = 3600.0


class WakeableSleep:
    """For one sleeping task. If it is woken before the sleep, the sleep returns at once."""

    __slots__ = ("_clock", "_is_rung", "_scope")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_rung = False
        self._scope: CancelScope | None = None

    @property
    def is_rung(self) -> bool:
        """Whether the next sleep will return at once."""
        return self._is_rung

    def ring(self) -> None:
        """Wake the sleeper, now or at its next sleep. Cheap: it may be called for each change of any prediction."""
        if not self._is_rung:
            self._is_rung = True
            if self._scope is not None:
                self._scope.cancel()

    async def sleep(self, seconds: float | None = None) -> None:
        """Return when woken, or after so many seconds; an infinite sleep may return earlier."""
        if not self._is_rung:
            with CancelScope() as scope:
                self._scope = scope
                try:
                    await self._clock.sleep(_LONG_SECONDS if seconds is None else seconds)
                finally:
                    self._scope = None
        self._is_rung = False
