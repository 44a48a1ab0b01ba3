"""Records the submits to a service: whether it accepts them, how many are repeated, and how long they take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from halley.clock import Clock
from halley.dispatch.breaker import Breaker
from halley.dispatch.durations import Durations
from halley.dispatch.retry_budget import RetryBudget
from halley.errors import LeaseLost, ProviderBusy, SubmitRefused

REFUSED_SECONDS: Final = 30.0  # so long a service that refused a model is left out, if there is another one


class SubmitRecord:
    """Implements `ports.SubmitReports` for one service."""

    def __init__(self, clock: Clock, breaker: Breaker, retry_share: float) -> None:
        self._clock = clock
        self._breaker = breaker
        self.retries = RetryBudget(clock, retry_share)
        self.submits = Durations()  # those that it accepted
        self.runs = Durations()
        self._refusals: dict[str, tuple[float, str]] = {}  # by version: until when, and why

    @contextmanager
    def submitting(self) -> Iterator[None]:
        began = self._clock.monotonic()
        try:
            yield
        except SubmitRefused as error:
            if error.was_asked:
                self._breaker.note_submit(is_clear=True)
            else:
                self._breaker.give_up()
            raise
        except ProviderBusy as error:
            self._breaker.avoid()
            if error.was_asked:
                self.retries.note_retry()
            raise
        except LeaseLost:  # it was not asked
            self._breaker.give_up()
            raise
        except Exception:  # OutcomeUnknown, and all that means the same
            self._breaker.note_submit(is_clear=False)
            raise
        self.submits.note(self._clock.monotonic() - began)
        self.retries.note_accepted()
        self._breaker.note_submit(is_clear=True)

    def pass_over(self, version: str, why: str) -> None:
        self._refusals[version] = self._clock.elapsed() + REFUSED_SECONDS, why
        self.retries.note_retry()

    def why_refused(self, version: str) -> str | None:
        """Why it gets no run of this version now; without the message of the service, which may quote an input."""
        if version not in self._refusals:
            return None
        until, _ = self._refusals[version]
        if (seconds := until - self._clock.elapsed()) <= 0:
            del self._refusals[version]
            return None
        return f"it refused this model, and is asked again in {seconds:.0f} s"

    def refusal_text(self, version: str) -> str:
        """The message with which it refused this version, for operators."""
        return self._refusals[version][1] if version in self._refusals else ""

    @contextmanager
    def running(self) -> Iterator[None]:
        began = self._clock.monotonic()
        yield
        self.runs.note(self._clock.monotonic() - began)
