"""What may be under way to all endpoints together, shared so that those that do not answer cannot fill it."""

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from halley.slots import Slots

CAPACITY: Final = 256  # attempts, or MiB of their bodies
PROMPT_SECONDS: Final = 2.0  # a shorter attempt, with any result, does not delay others
_REMEMBERED: Final = 4096  # endpoints; what is forgotten is an endpoint that nothing is known about


class Capacity:
    """Three parts, of which none waits for another.

    `_prompt` is for endpoints whose last attempt was over quickly. `_unknown` is for those that none has ended to yet,
    one attempt each. `_rest` is for all others: endpoints that were slow, and what else goes to an unknown one.

    So an endpoint that answers does not wait for one that does not, once that is known; this takes one attempt. Within
    a part the first attempt to an endpoint goes before a second to another: nobody waits for more than one of each. And
    within a part accounts take turns: thousands of endpoints that do not answer delay another account by one attempt at
    most.
    """

    def __init__(self, units: int = CAPACITY) -> None:
        rest = units // 4
        unknown = (units - rest) // 2
        self._rest, self._unknown = Slots(rest), Slots(unknown)
        self._prompt = Slots(units - rest - unknown)
        self._attempts: Counter[str] = Counter()  # that are under way, or wait for room
        self._was_prompt: OrderedDict[str, bool] = OrderedDict()  # of the last attempt; those that ended last are last

    @property
    def is_unused(self) -> bool:
        """Whether no attempt is under way."""
        return not any(part.used for part in (self._prompt, self._unknown, self._rest))

    @asynccontextmanager
    async def hold(self, endpoint: str, units: int, *, account: str = "") -> AsyncIterator[None]:
        """Hold so many units for one attempt of an account while the block runs; waits for them first."""
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
        """An attempt is over that took so long."""
        self._was_prompt[endpoint] = seconds < PROMPT_SECONDS
        self._was_prompt.move_to_end(endpoint)
        if len(self._was_prompt) > _REMEMBERED:
            self._was_prompt.popitem(last=False)

    def _part(self, endpoint: str, *, is_first: bool) -> Slots:
        was_prompt = self._was_prompt.get(endpoint)
        if was_prompt:
            return self._prompt
        return self._unknown if was_prompt is None and is_first else self._rest
