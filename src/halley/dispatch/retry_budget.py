"""Limits how many submits to a service may begin nothing: each of them is sent again, to it or to another one."""

from typing import Final

from halley.clock import Clock

MOST_TOKENS: Final = 10.0
TOKENS_PER_SECOND: Final = 0.1  # so that a service that never accepted anything is tried again


class RetryBudget:
    """A token bucket. A submit that began nothing takes one token; an accepted one adds `share` of a token.

    With less than one token left, the service gets no submits until time has added the rest. This limits how many more
    submits than predictions the services of a route get together. Time is elapsed time.
    """

    def __init__(self, clock: Clock, share: float) -> None:
        """`share`: how many retries an accepted submit allows."""
        self._clock = clock
        self._share = share
        self._tokens = MOST_TOKENS
        self._filled_at = clock.elapsed()

    @property
    def wait_seconds(self) -> float:
        """How long the service gets nothing; 0 if it may get something now."""
        self._fill()
        return max(1.0 - self._tokens, 0.0) / TOKENS_PER_SECOND

    def note_accepted(self) -> None:
        """A submit was accepted."""
        self._add(self._share)

    def note_retry(self) -> None:
        """A submit began nothing, and will be sent again."""
        self._fill()
        self._tokens = max(self._tokens - 1.0, 0.0)

    def why_not(self) -> str | None:
        """Why the service gets nothing now."""
        if (seconds := self.wait_seconds) <= 0:
            return None
        return f"too many submits to it began nothing (retry_share); the next is possible in {seconds:.0f} s"

    def _fill(self) -> None:
        now = self._clock.elapsed()
        passed, self._filled_at = now - self._filled_at, now
        self._add(passed * TOKENS_PER_SECOND)

    def _add(self, tokens: float) -> None:
        self._tokens = min(self._tokens + tokens, MOST_TOKENS)
