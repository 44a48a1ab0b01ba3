"""What submits to a service teach about it: whether it accepts them, how many are repeated, how long they take."""

from collections.abc import Iterator
from contextlib import contextmanager

from halley.clock import Clock
from halley.dispatch.breaker import Breaker
from halley.dispatch.durations import Durations
from halley.dispatch.retry_budget import RetryBudget
from halley.errors import LeaseLost, OutcomeUnknown, ProviderBusy, SubmitRefused


class SubmitRecord:
    """Implements `ports.SubmitReports` for one service."""

    def __init__(self, clock: Clock, breaker: Breaker, retry_share: float) -> None:
        self._clock = clock
        self._breaker = breaker
        self.retries = RetryBudget(clock, retry_share)
        self.submits = Durations()  # those that it accepted
        self.runs = Durations()

    @contextmanager
    def submitting(self) -> Iterator[None]:
        began = self._clock.monotonic()
        try:
            yield
        except SubmitRefused:
            self._breaker.note_submit(is_clear=True)
            raise
        except ProviderBusy as error:
            self._breaker.avoid()
            if error.was_asked:
                self.retries.note_retry()
            raise
        except LeaseLost:
            raise
        except (OutcomeUnknown, Exception):
            self._breaker.note_submit(is_clear=False)
            raise
        self.submits.note(self._clock.monotonic() - began)
        self.retries.note_accepted()
        self._breaker.note_submit(is_clear=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        began = self._clock.monotonic()
        yield
        self.runs.note(self._clock.monotonic() - began)
