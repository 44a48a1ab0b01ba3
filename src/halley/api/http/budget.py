"""Memory for request bodies that are on their way or being worked on: bounded in all, and for each key.

A body counts for what has arrived of it, from its first byte until its request is answered or handed to the store.
Uploads do not count: they go to the disk as they arrive.
"""

import asyncio
from typing import Final

from halley.errors import BodiesFull, Overloaded, TooLarge

_RETRY_SECONDS: Final = 2
_WAITING: Final = 64  # for a turn


class BodyBudget:
    """How much is held. In the loop's thread only."""

    def __init__(self, *, total_bytes: int, per_key_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._per_key_bytes = per_key_bytes
        self._held = 0
        self._by_key: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def held_bytes(self) -> int:
        """All that is held now."""
        return self._held

    def hold(self, key_id: str) -> "HeldBody":
        """The place of one body; nothing is held yet."""
        return HeldBody(self, key_id)

    def take(self, key_id: str, size: int, before: int = 0) -> None:
        """Hold more of a body of which so much is held `before`.

        Raises:
            TooLarge: it alone is larger than this budget.
            BodiesFull: this key has as much as it may.
            Overloaded: all together have.
        """
        if before + size > self._per_key_bytes:
            raise TooLarge(
                f"The body is larger than {self._per_key_bytes} bytes (setting limits.bodies_per_key_bytes)."
            )
        of_key = self._by_key.get(key_id, 0) + size
        if of_key > self._per_key_bytes:
            raise BodiesFull(
                f"The request bodies of this key that are being received are larger than {self._per_key_bytes} bytes "
                "together (setting limits.bodies_per_key_bytes). Send fewer at once.",
                retry_after_seconds=_RETRY_SECONDS,
            )
        if self._held + size > self._total_bytes:
            raise Overloaded(
                f"The request bodies that are being received are larger than {self._total_bytes} bytes together "
                "(setting limits.bodies_bytes). Try again in a moment.",
                retry_after_seconds=_RETRY_SECONDS,
            )
        self._held += size
        self._by_key[key_id] = of_key

    def give_back(self, key_id: str, size: int) -> None:
        """Hold less."""
        left = self._by_key.get(key_id, 0) - size
        self._held -= size
        if left > 0:
            self._by_key[key_id] = left
        else:
            self._by_key.pop(key_id, None)

    async def take_turn(self) -> None:
        """Return when no other large body is being worked on: each needs its memory several times over for a moment.

        Raises:
            Overloaded: too many wait.
        """
        if self._waiting >= _WAITING:
            raise Overloaded("Too many large JSON bodies are waiting to be read.", retry_after_seconds=_RETRY_SECONDS)
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1

    def end_turn(self) -> None:
        """The next large body may come."""
        self._turn.release()


class HeldBody:
    """What one request holds. `release` it on every path."""

    __slots__ = ("_budget", "_has_turn", "_key_id", "_size")

    def __init__(self, budget: BodyBudget, key_id: str) -> None:
        self._budget = budget
        self._key_id = key_id
        self._size = 0
        self._has_turn = False

    def grow(self, size: int) -> None:
        """More has arrived. Raises as `BodyBudget.take` does."""
        self._budget.take(self._key_id, size, self._size)
        self._size += size

    async def take_turn(self) -> None:
        """Before work on a large body. Raises as `BodyBudget.take_turn` does."""
        await self._budget.take_turn()
        self._has_turn = True

    def end_turn(self) -> None:
        """The body is stored, or not needed any more. Harmless if repeated, or if there was no turn."""
        if self._has_turn:
            self._has_turn = False
            self._budget.end_turn()

    def release(self) -> None:
        """Nothing of it is held any more. Harmless if repeated."""
        self.end_turn()
        if self._size:
            self._budget.give_back(self._key_id, self._size)
            self._size = 0
