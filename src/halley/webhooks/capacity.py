"""Limits the attempts to all endpoints together, so that unresponsive endpoints cannot use all of them."""

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from halley.slots import Slots

CAPACITY: Final = 256  # attempts, or MiB of their bodies
PROMPT_SECONDS: Final = 2.0  # a shorter attempt, with any result, does not delay others
_REMEMBERED: Final = 4096  # endpoints; a dropped endpoint counts as unknown


class Capacity:
    """Three separate limits, so that one group of endpoints does not delay another.

    `_prompt` is for endpoints whose last attempt ended quickly. `_unknown` is for endpoints without an earlier attempt,
    one attempt each. `_rest` is for all others: slow endpoints, and further attempts to unknown ones.

    So after one attempt has shown that an endpoint does not answer, others do not wait for it. Within a limit the first
    attempt to an endpoint comes before a second one to another, so each waits for at most one attempt of every other.
    Accounts take turns: thousands of unresponsive endpoints delay another account by at most one attempt.
    """

    def __init__(self, units: int = CAPACITY) -> None:
        rest = units // 4
        unknown = (units - rest) // 2
        self._rest, self._unknown = Slots(rest), Slots(unknown)
        self._prompt = Slots(units - rest - unknown)
        self._attempts: Counter[str] = Counter()  # running attempts, and those that wait for the limit
        self._was_prompt: OrderedDict[str, bool] = OrderedDict()  # of the last attempt; ordered by its end

    @property
    def is_unused(self) -> bool:
        """Whether no attempt is under way."""
        return not any(part.used for part in (self._prompt, self._unknown, self._rest))

    @asynccontextmanager
    async def hold(self, endpoint: str, units: int, *, account: str = "") -> AsyncIterator[None]:
        """Hold units for one attempt of an account while the block runs; waits for them first."""
        is_first = not self._attempts[endpoint]
        self._attempts[endpoint] += 1
        try:
            async with self._part(endpoint, is_first=is_first).hold(units, urgent=is_first, account=account):
                yield
        finally:
            self._attempts[endpoint] -= 1
            if not self._attempts[endpoint]:
                del self._attempts[endpoint]

    def note(self, endpoint: str, seconds: float) -> None:
        """Record the duration of an attempt."""
        self._was_prompt[endpoint] = seconds < PROMPT_SECONDS
        self._was_prompt.move_to_end(endpoint)
        if len(self._was_prompt) > _REMEMBERED:
            self._was_prompt.popitem(last=False)

    def _part(self, endpoint: str, *, is_first: bool) -> Slots:
        was_prompt = self._was_prompt.get(endpoint)
        if was_prompt:
            return self._prompt
        return self._unknown if was_prompt is None and is_first else self._rest
