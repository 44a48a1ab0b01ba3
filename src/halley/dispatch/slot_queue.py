"""Runs with a lease and without a slot: their files are being staged, or they wait for the next free slot.

A run that waits for another host must not hold a slot. So it releases its slot, and takes one again when its files are
staged; then it goes before predictions in the queue.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from halley.dispatch.ports import Provider

_NOBODY: Final[frozenset[str]] = frozenset()
MOST_OF_AN_ACCOUNT: Final = 16  # further predictions stay in the queue, where they cost nothing


class _Waiter(msgspec.Struct, frozen=True, eq=False):
    provider: Provider
    alone: bool
    given: asyncio.Future[None]


class SlotQueue:
    """The runs that wait for a slot, by version and in order, and how many runs each account is staging."""

    def __init__(self, *, on_capacity: Callable[[str], None], freed: Callable[[str], None]) -> None:
        """`on_capacity` is called with a version that may have work, so that `serve` is called for it; `freed` with
        one that has a free slot.
        """
        self._on_capacity = on_capacity
        self._freed = freed
        self._waiters: dict[str, list[_Waiter]] = {}
        self._on_the_way: Counter[str] = Counter()

    @property
    def full(self) -> frozenset[str]:
        """Accounts that may not claim more from the queue."""
        if not self._on_the_way:
            return _NOBODY
        return frozenset(name for name, count in self._on_the_way.items() if count >= MOST_OF_AN_ACCOUNT)

    @property
    def versions(self) -> Collection[str]:
        """Versions for which a run waits."""
        return self._waiters.keys()

    def waits(self, version: str) -> bool:
        """Whether a run of this version waits for a slot."""
        return version in self._waiters

    def holds_up(self, version: str, account_id: str) -> bool:
        """Whether a new run must wait in the queue: others of its version wait here, or too many of its account."""
        return version in self._waiters or (len(self._on_the_way) > 0 and account_id in self.full)

    @contextmanager
    def on_the_way(self, account_id: str, version: str) -> Iterator[None]:
        """Count a run of the account, which has just released its slot, until it has one again or has ended."""
        self._freed(version)
        self._on_the_way[account_id] += 1
        try:
            yield
        finally:
            was_full = self._on_the_way[account_id] >= MOST_OF_AN_ACCOUNT
            self._on_the_way[account_id] -= 1
            if not self._on_the_way[account_id]:
                del self._on_the_way[account_id]
            if was_full:
                self._on_capacity(version)

    async def take_slot(self, provider: Provider, version: str, *, alone: bool = False) -> None:
        """Return with a slot of the provider held; `alone`: in a process where nothing else runs."""
        if version not in self._waiters and provider.take_slot(version, alone=alone):
            return
        waiter = _Waiter(provider, alone, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(version, []).append(waiter)
        self._on_capacity(version)
        try:
            await waiter.given
        except asyncio.CancelledError:
            if waiter.given.done() and not waiter.given.cancelled():
                provider.drop_slot(version, alone=alone)
            else:
                self._leave(version, waiter)
            raise

    def serve(self, version: str) -> bool:
        """Assign free slots in order. True if a run still waits: then predictions in the queue must wait, too.

        A run that must be alone waits for a whole process, and lets others use the slots of the rest.
        """
        for waiter in list(self._waiters.get(version, ())):
            if waiter.given.done():  # just cancelled: it is removed in its next step
                continue
            if waiter.provider.take_slot(version, alone=waiter.alone):
                self._leave(version, waiter)
                waiter.given.set_result(None)
        left = [waiter for waiter in self._waiters.get(version, ()) if not waiter.given.done()]
        for provider, alone in {(waiter.provider, waiter.alone) for waiter in left}:
            provider.request_capacity(version, alone=alone)
        return any(not waiter.alone for waiter in left)

    def _leave(self, version: str, waiter: _Waiter) -> None:
        waiters = self._waiters.get(version, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(version, None)
