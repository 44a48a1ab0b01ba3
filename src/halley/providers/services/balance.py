"""Reads how much money or credit is left at a service, when it is shown."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from halley.clock import Clock
from halley.dispatch.upstreams import UpstreamBalance
from halley.egress.errors import AddressRefused, FetchFailed, TooLarge

AGE_SECONDS: Final = 60.0  # an older balance is asked for again

Ask = Callable[[], Awaitable[object]]
"""Returns the number as the service writes it.

Raises:
    FetchFailed, TooLarge, AddressRefused: there was no complete answer.
"""


class BalanceReader:
    """The newest balance. Reading it never waits for the service: it returns the known one, and if that is old, begins
    a request for a new one.
    """

    def __init__(self, ask: Ask, clock: Clock, *, unit: str | None, note: Callable[[str], None]) -> None:
        """`note` is called with each fault, as a sentence."""
        self._ask = ask
        self._clock = clock
        self._unit = unit
        self._note = note
        self._balance: UpstreamBalance | None = None
        self._asked_at = -math.inf
        self._task: asyncio.Task[None] | None = None

    def known(self) -> UpstreamBalance | None:
        """The newest balance that is known."""
        if self._task is None and self._clock.monotonic() - self._asked_at >= AGE_SECONDS:
            self._asked_at = self._clock.monotonic()
            self._task = asyncio.ensure_future(self._read())
        return self._balance

    async def close(self) -> None:
        """Cancel the request that has no answer yet."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        try:
            value = await self._ask()
        except (FetchFailed, TooLarge, AddressRefused) as error:
            self._note(f"It did not show the balance: {error}")
        else:
            left = _number(value)
            if left is None:
                self._note(f"It shows no balance where one is expected, but {str(value)[:100]!r}.")
            else:
                self._balance = UpstreamBalance(left=left, unit=self._unit, at=self._clock.now())
        finally:
            self._task = None


def _number(value: object) -> float | None:
    """The number; some services write it as a string. None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
