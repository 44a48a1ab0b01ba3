"""A provider without processes: each version is a small function. For tests, and as the smallest example to copy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from halley.dispatch.ports import Emit, Outcome, OutputPart, Work
from halley.errors import NotFound

Behaviour = Callable[[Work, Emit], Awaitable[Outcome]]
"""Does the work: says its progress through `emit`, returns how it ended. It is cancelled at an `await`."""

OnRoom = Callable[[str], None]
OnBroken = Callable[[str, str, str], None]


async def echo(work: Work, emit: Emit) -> Outcome:
    """The output is the whole input."""
    emit(OutputPart(value=msgspec.Raw(work.input), more=False))
    return Outcome(status="succeeded", predict_time=0.0)


class EchoProvider:
    """Fulfils `dispatch.ports.Provider` in memory. Runs begin when they are followed; handles do not survive."""

    is_local: Final = True
    wants_local_files: Final = True

    def __init__(
        self,
        versions: Mapping[str, Behaviour],
        *,
        slots: Mapping[str, int] | None = None,
        broken: Mapping[str, str] | None = None,
    ) -> None:
        """`slots` of a version are 1 if not given; `broken` maps versions that cannot run to the reason, in words."""
        self._versions: Final = versions
        self._broken: Final = broken or {}
        self._free = dict.fromkeys(versions, 0)  # nothing is loaded before somebody wants it
        self._slots: Final = slots or {}
        self._loaded: set[str] = set()
        self._works: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Future[Outcome]] = {}
        self._canceled: set[str] = set()
        self._on_room: OnRoom | None = None
        self._on_broken: OnBroken | None = None

    def listen(self, *, on_room: OnRoom, on_broken: OnBroken) -> None:
        """Who is told about room and about versions that cannot run; before the first `want`."""
        self._on_room = on_room
        self._on_broken = on_broken

    def free_slots(self, version: str) -> int:
        return self._free.get(version, 0)

    def want(self, version: str, *, alone: bool = False) -> None:
        del alone
        loop = asyncio.get_running_loop()
        if version not in self._versions or version in self._broken:
            text = self._broken.get(version, f"There is no version {version}.")
            if self._on_broken is not None:
                loop.call_soon(self._on_broken, version, text, "setup_failed")
            return
        if version not in self._loaded:
            self._loaded.add(version)
            self._free[version] = self._slots.get(version, 1)
        if self._on_room is not None and self._free[version]:
            loop.call_soon(self._on_room, version)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        del alone  # each run is
        if not self.free_slots(version):
            return False
        self._free[version] -= 1
        return True

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        del alone
        if version in self._free:
            self._free[version] += 1

    async def submit(self, work: Work) -> str:
        if work.version not in self._versions:
            raise NotFound(f"There is no version {work.version}.")
        handle = f"echo:{work.prediction_id}:{work.attempt}:{work.fence}"
        self._works[handle] = work
        return handle

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        del work, handle
        return None  # a run of an earlier process ended with it

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        work = self._works.get(handle)
        if work is None:
            return Outcome(status="failed", error=f"Nothing is known of {handle}.", reason="worker_lost")
        task = self._tasks[handle] = asyncio.ensure_future(self._versions[work.version](work, emit))
        if handle in self._canceled:
            task.cancel()
        try:
            # waiting does not raise when the run is cancelled, only when the follower is
            await asyncio.wait([task])
            return Outcome(status="canceled") if task.cancelled() else task.result()
        finally:
            task.cancel()
            del self._works[handle], self._tasks[handle]
            self._canceled.discard(handle)
            self.drop_slot(work.version)

    def cancel(self, handle: str) -> None:
        if handle in self._works:
            self._canceled.add(handle)
        if (task := self._tasks.get(handle)) is not None:
            task.cancel()
