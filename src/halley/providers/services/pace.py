"""Keeps to the rate limits of a service, as its answers state them: when a request may be sent, and how many submits
at once.
"""

from math import ceil
from typing import Final

from halley.clock import Clock
from halley.dispatch.upstreams import SubmitBucket
from halley.egress import EgressResponse
from halley.errors import ProviderBusy
from halley.providers.services.answers import Body
from halley.providers.services.limit_headers import RateLimits, read_rate_limits, retry_after

LONGEST_SECONDS: Final = 120.0  # a longer pause that a service asks for is cut to this
_SHORTEST_SECONDS: Final = 1.0
_UNSTATED_SECONDS: Final = 60.0  # how long a stated number of requests counts if the end of its period is not stated
_MOST_AT_ONCE: Final = 64  # from this number on, submits at the same time are not limited


class Pause:
    """When the next request of a kind may be sent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0
        self._refusals = 0

    @property
    def paused_seconds(self) -> float:
        """How long nothing may be sent; 0 if it may be sent now."""
        return max(self._until - self._clock.monotonic(), 0.0)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long; never shortens a pause."""
        seconds = min(max(seconds, _SHORTEST_SECONDS), LONGEST_SECONDS)
        self._until = max(self._until, self._clock.monotonic() + seconds)

    def refuse(self, stated: float | None) -> None:
        """The service refused a request because there were too many; `stated`: the seconds to wait, if it said."""
        if self.paused_seconds <= 0:  # otherwise it answers what was sent before the pause
            self._refusals += 1
        self.pause(2.0 ** min(max(self._refusals - 1, 0), 6) if stated is None else stated)

    def accept(self) -> None:
        """The service answered something else."""
        self._refusals = 0


class SubmitPace(Pause):
    """How many submits may be sent now: as many as the service says are left. After a refusal, only one submit may be
    without an answer; each answer raises this number by one.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._limit: int | None = None
        self._left: int | None = None
        self._left_until = 0.0
        self._at_once: int | None = None

    def refuse(self, stated: float | None) -> None:
        super().refuse(stated)
        self._at_once = 1

    def accept(self) -> None:
        super().accept()
        if self._at_once is not None:
            self._at_once = self._at_once + 1 if self._at_once < _MOST_AT_ONCE else None

    def learn(self, stated: RateLimits) -> None:
        """The headers of an answer to a submit."""
        if stated.remaining is None:
            return
        seconds = _UNSTATED_SECONDS if stated.reset_seconds is None else stated.reset_seconds
        self._limit, self._left = stated.limit, stated.remaining
        self._left_until = self._clock.monotonic() + seconds
        if stated.remaining == 0 and stated.reset_seconds is not None:
            self.pause(stated.reset_seconds)

    def room(self) -> int | None:
        """How many submits may be without an answer now, including those that are already; None: any number."""
        if self.paused_seconds > 0:
            return 0
        limits = [limit for limit in (self._left_now(), self._at_once) if limit is not None]
        return min(limits) if limits else None

    def bucket(self) -> SubmitBucket | None:
        """What is known of its limits, for people."""
        left = self._left_now()
        if left is None and self._at_once is None:
            return None
        ends = None if left is None else max(self._left_until - self._clock.monotonic(), 0.0)
        return SubmitBucket(left=left, limit=self._limit, reset_seconds=ends, at_once=self._at_once)

    def _left_now(self) -> int | None:
        if self._left is not None and self._clock.monotonic() >= self._left_until:
            self._left = self._limit or None
            self._left_until = self._clock.monotonic() + _UNSTATED_SECONDS
        # one is always allowed: its answer states how many are left now
        return None if self._left is None else max(self._left, 1)


class ServicePace(Pause):
    """When the next request may be sent to the service. All requests to one service share it; `submits` have further
    limits. While a service refuses submits, its runs may still be polled.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.submits: Final = SubmitPace(clock)

    @property
    def submit_paused_seconds(self) -> float:
        """How long nothing may be submitted."""
        return max(self.paused_seconds, self.submits.paused_seconds)

    def check(self) -> None:
        """Raises:
        ProviderBusy: nothing may be sent now.
        """
        _check(self.paused_seconds)

    def check_submit(self) -> None:
        """Raises:
        ProviderBusy: nothing may be submitted now.
        """
        _check(self.submit_paused_seconds)

    def note(self, response: EgressResponse, body: Body | None, *, is_submit: bool = False) -> None:
        """Learn from an answer."""
        now = self._clock.now()
        kind = self.submits if is_submit else self
        stated = retry_after(response, body, now)
        limits = read_rate_limits(response.headers, now)
        if response.status == 429 or (response.status == 503 and stated is not None):
            kind.refuse(limits.reset_seconds if stated is None and limits.remaining == 0 else stated)
            return
        kind.accept()
        if is_submit:
            self.submits.learn(limits)
        elif limits.remaining == 0 and limits.reset_seconds is not None:
            self.pause(limits.reset_seconds)


def _check(seconds: float) -> None:
    if seconds > 0:
        raise ProviderBusy("It wants no requests now.", retry_after_seconds=max(ceil(seconds), 1), was_asked=False)
