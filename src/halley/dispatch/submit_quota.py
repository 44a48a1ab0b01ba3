"""The limit of submits to a service in 24 hours: what this process knows about it, and which creates it refuses.

The store counts them (`SubmitLedger.record_intent`), so the limit holds after a restart and for several processes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from halley.clock import Clock
from halley.errors import SubmitLimitReached
from halley.predictions.queue import SubmitLedger
from halley.predictions.submits import SubmitCount, limit_reached, why_no_more

LOOK_SECONDS: Final = 60.0
"""How long a service that refused a submit, because its limit is reached, gets no run. Then it gets one, because
another process may have withdrawn a submit, and because a run that is only adopted needs a slot, too, but does not
count as a submit.
"""


class CountedSubmits:
    """Implements `ports.SubmitQuota` for one service. Time is elapsed time, so a clock that is set changes nothing."""

    def __init__(self, clock: Clock, most: int | None) -> None:
        """`most` in 24 hours; None: any number, which is only counted."""
        self._clock = clock
        self.most: Final = most
        self._until = 0.0  # when the next submit is allowed, in elapsed time
        self._look_at = 0.0

    def count(self) -> SubmitCount:
        """How a submit is counted now."""
        return SubmitCount(self._clock.now(), self.most)

    def note(self, seconds: float) -> None:
        """A submit was refused, and the next is allowed in so many seconds; 0: one was withdrawn."""
        self.learn(seconds)
        self._look_at = min(self._until, self._clock.elapsed() + LOOK_SECONDS)

    def learn(self, seconds: float) -> None:
        """The store says that the next submit is allowed in so many seconds; no submit was tried.

        So this does not delay `may_probe`.
        """
        self._until = self._clock.elapsed() + seconds

    @property
    def may_probe(self) -> bool:
        """Whether runs may be given to it although its limit is reached, as far as it is known here."""
        return self._clock.elapsed() >= self._look_at

    def why_not(self) -> str | None:
        """Why nothing may be submitted now, as far as it is known here."""
        now = self._clock.elapsed()
        return None if self.most is None or now >= self._until else why_no_more(self.most, self._until - now)


class RouteLimits:
    """Implements `predictions.ports.SubmitLimits`: refuses creates that no service may get now."""

    def __init__(self, limited: Callable[[str], Mapping[str, CountedSubmits]], ledger: SubmitLedger) -> None:
        """`limited` gives the places of a version, if all of them have a limit; see `RoutedProviders.limited`."""
        self._limited = limited
        self._ledger = ledger

    def has_limit(self, version: str) -> bool:
        return bool(self._limited(version))

    async def check(self, version: str) -> None:
        refusals = []
        for name, quota in self._limited(version).items():
            seconds = await self._ledger.seconds_until_submit(name, quota.count())
            quota.learn(seconds)
            if seconds <= 0 or quota.most is None:
                return
            refusals.append(limit_reached(name, quota.most, seconds))
        if refusals:
            text = "; ".join(str(refusal) for refusal in refusals)
            raise SubmitLimitReached(text, seconds=min(refusal.seconds for refusal in refusals))
