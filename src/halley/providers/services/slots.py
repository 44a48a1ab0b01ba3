"""Slots of one service: a number of runs at once, shared by all its versions."""

import asyncio
from collections.abc import Callable, Mapping

from halley.providers.slots import OnBroken, OnCapacity


class SharedSlots:
    """Implements the slots of `dispatch.ports.Provider`."""

    def __init__(
        self, limit: int, *, fault_of: Callable[[str], str | None], limits: Mapping[str, int] | None = None
    ) -> None:
        """`fault_of` says why a version cannot run, None if it can; `limits` are those of single versions."""
        self.limit = limit
        self._fault_of = fault_of
        self._limits = limits or {}
        self._held: dict[str, int] = {}  # by version; those that were requested
        self._waiting: set[str] = set()
        self._later: set[str] = set()  # versions whose timer runs
        self._on_capacity: OnCapacity | None = None
        self._on_broken: OnBroken | None = None

    def listen(self, *, on_capacity: OnCapacity, on_broken: OnBroken) -> None:
        """Set the callbacks for capacity and for versions that cannot run; call it first."""
        self._on_capacity = on_capacity
        self._on_broken = on_broken

    @property
    def held(self) -> int:
        """How many slots are held."""
        return sum(self._held.values())

    def resize(self, limit: int) -> None:
        """Use this number of slots from now on; slots that are held stay held."""
        self.limit = limit
        self._notify_waiting()

    @property
    def is_awaited(self) -> bool:
        """Whether a version waits for a slot."""
        return bool(self._waiting)

    def free_slots(self, version: str) -> int:
        if version not in self._held or self._fault_of(version) is not None:
            return 0
        of_version = self._limits.get(version, self.limit) - self._held[version]
        room = self._room()
        free = min(of_version, self.limit - self.held)
        return max(free if room is None else min(free, room), 0)

    def _room(self) -> int | None:
        """How many more slots may be taken now because of the service's limits; None: any number."""
        return None

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        del alone  # every run there is alone
        loop = asyncio.get_running_loop()
        fault = self._fault_of(version)
        if fault is not None:
            if self._on_broken is not None:
                loop.call_soon(self._on_broken, version, fault, "setup_failed")
            return
        self._held.setdefault(version, 0)
        if self.free_slots(version):
            self._notify(version)
        else:
            self._waiting.add(version)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        del alone
        if not self.free_slots(version):
            return False
        self._held[version] += 1
        return True

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        del alone
        if self._held.get(version, 0) > 0:
            self._held[version] -= 1
            self._notify_waiting()

    def _notify_later(self, version: str, seconds: float) -> None:
        """Report capacity again in so many seconds: the service accepts no request before."""
        if seconds <= 0:
            self._notify_waiting()
        elif version not in self._later:
            self._later.add(version)
            asyncio.get_running_loop().call_later(seconds, self._notify_now, version)

    def _notify_now(self, version: str) -> None:
        self._later.discard(version)
        self._notify(version)

    def _notify_waiting(self) -> None:
        for version in [one for one in self._waiting if self.free_slots(one)]:
            self._waiting.discard(version)
            self._notify(version)

    def _notify(self, version: str) -> None:
        if self._on_capacity is not None:
            asyncio.get_running_loop().call_soon(self._on_capacity, version)
