"""Slots of versions that need no loading: shared by providers of upstream services."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

OnCapacity = Callable[[str], None]
OnBroken = Callable[[str, str, str], None]


class CountedSlots:
    """Implements the slots of `dispatch.ports.Provider`: a fixed number for each version."""

    def __init__(self, slots: Mapping[str, int], *, broken: Mapping[str, str] | None = None) -> None:
        """`slots` by version; `broken` maps versions that cannot run to the reason."""
        self._slots: Final = slots
        self._broken: Final = broken or {}
        self._free = dict.fromkeys(slots, 0)  # none before the first request
        self._wanted: set[str] = set()
        self._on_capacity: OnCapacity | None = None
        self._on_broken: OnBroken | None = None

    def listen(self, *, on_capacity: OnCapacity, on_broken: OnBroken) -> None:
        """Set the callbacks for capacity and for versions that cannot run; call it first."""
        self._on_capacity = on_capacity
        self._on_broken = on_broken

    def serves(self, version: str) -> bool:
        """Whether the version can run here."""
        return version in self._slots and version not in self._broken

    def free_slots(self, version: str) -> int:
        return self._free.get(version, 0)

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        del alone  # every run here is alone
        loop = asyncio.get_running_loop()
        if not self.serves(version):
            text = self._broken.get(version, f"There is no version {version}.")
            if self._on_broken is not None:
                loop.call_soon(self._on_broken, version, text, "setup_failed")
            return
        if version not in self._wanted:
            self._wanted.add(version)
            self._free[version] = self._slots[version]
        if self._on_capacity is not None and self._free[version]:
            loop.call_soon(self._on_capacity, version)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        del alone
        if not self.free_slots(version):
            return False
        self._free[version] -= 1
        return True

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        del alone
        if version in self._free:
            self._free[version] += 1
