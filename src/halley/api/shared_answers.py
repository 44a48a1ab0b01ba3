"""Answers of the API that several open pages share, as long as nothing has changed.

When something changes, all open pages of an account send the same requests at the same moment. The API answers one of
them, and the others get the same answer. Changes are counted only while a live page is open; otherwise nothing is
shared.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from halley.clock import Clock

LIFE_SECONDS: Final = 1.0
_MOST: Final = 256

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """The shared answers; every change drops them all. Use it only in the thread of the event loop."""

    def __init__(self, clock: Clock, changes: Callable[[], int | None]) -> None:
        """`changes` is the number of changes so far; None if they are not noticed."""
        self._clock = clock
        self._changes = changes
        self._answers: dict[Hashable, tuple[float, asyncio.Future[T]]] = {}
        self._seen: int | None = None

    def __len__(self) -> int:
        return len(self._answers)

    def forget(self) -> None:
        """Something has changed that is not counted yet."""
        self._answers.clear()

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request that was sent after the last change; without one, `ask` is called.

        `key` contains everything that the answer depends on, besides the data.
        """
        changes = self._changes()
        if changes is None:
            return await ask()
        now = self._clock.monotonic()
        if changes != self._seen or len(self._answers) >= _MOST:
            self._answers.clear()
            self._seen = changes
        self._drop_old(now)
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = (now, asyncio.ensure_future(ask()))
        return await asyncio.shield(known[1])

    def _drop_old(self, now: float) -> None:
        """Drop what is too old to be shared: an answer may have megabytes."""
        while self._answers:
            first = next(iter(self._answers))  # in the order in which they were asked for
            if now - self._answers[first][0] <= LIFE_SECONDS:
                break
            del self._answers[first]
