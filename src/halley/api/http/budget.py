"""Limits the memory of request bodies that are being received or processed: in total, and for each key.

A body counts from its first byte until its request is answered or passed to the store. Uploads do not count: they are
written to the disk as they arrive.
"""

import asyncio
from typing import Final

from halley.errors import BodiesFull, Overloaded, TooLarge

_RETRY_SECONDS: Final = 2
_WAITING: Final = 64  # requests that may wait to process a large body


class BodyBudget:
    """Counts the held bytes. Use it in the loop's thread only."""

    def __init__(self, *, total_bytes: int, per_key_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._per_key_bytes = per_key_bytes
        self._held = 0
        self._by_key: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def held_bytes(self) -> int:
        """The held bytes in total."""
        return self._held

    def hold(self, key_id: str) -> "HeldBody":
        """Start counting one body; nothing is held yet."""
        return HeldBody(self, key_id)

    def has_room(self, key_id: str, size: int) -> bool:
        """Whether `take` of a whole body would succeed now."""
        return self._held + size <= self._total_bytes and self._by_key.get(key_id, 0) + size <= self._per_key_bytes

    def take(self, key_id: str, size: int, before: int = 0) -> None:
        """Hold `size` more bytes of a body of which `before` are held.

        Raises:
            TooLarge: the body alone is larger than this budget.
            BodiesFull: this key has reached its limit.
            Overloaded: all keys together have reached the limit.
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
        """Release bytes."""
        left = self._by_key.get(key_id, 0) - size
        self._held -= size
        if left > 0:
            self._by_key[key_id] = left
        else:
            self._by_key.pop(key_id, None)

    async def take_turn(self) -> None:
        """Return when no other large body is being processed: each needs a multiple of its memory for a moment.

        Raises:
            Overloaded: too many requests wait.
        """
        if self._waiting >= _WAITING:
            raise Overloaded("Too many large JSON bodies are waiting to be read.", retry_after_seconds=_RETRY_SECONDS)
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1

    def end_turn(self) -> None:
        """Let the next large body be processed."""
        self._turn.release()


class HeldBody:
    """The bytes that one request holds. Call `release` on every path."""

    __slots__ = ("_budget", "_has_turn", "_key_id", "_size")

    def __init__(self, budget: BodyBudget, key_id: str) -> None:
        self._budget = budget
        self._key_id = key_id
        self._size = 0
        self._has_turn = False

    def grow(self, size: int) -> None:
        """Count arrived bytes. Raises as `BodyBudget.take` does."""
        self._budget.take(self._key_id, size, self._size)
        self._size += size

    async def take_turn(self) -> None:
        """Wait before a large body is processed. Raises as `BodyBudget.take_turn` does."""
        await self._budget.take_turn()
        self._has_turn = True

    def end_turn(self) -> None:
        """The body is stored, or not needed any more. Does nothing if repeated, or without a turn."""
        if self._has_turn:
            self._has_turn = False
            self._budget.end_turn()

    def release(self) -> None:
        """Release everything. Does nothing if repeated."""
        self.end_turn()
        if self._size:
            self._budget.give_back(self._key_id, self._size)
            self._size = 0
