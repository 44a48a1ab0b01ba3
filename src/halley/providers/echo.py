"""A provider without processes: each version is a small function. For tests, and as the smallest example to copy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from halley.dispatch.ports import Emit, Outcome, OutputPart, RunListener, Work
from halley.errors import NotFound
from halley.providers.slots import CountedSlots

Behaviour = Callable[[Work, Emit], Awaitable[Outcome]]
"""Does the work: reports progress through `emit`, returns the outcome. A cancel interrupts it at an `await`."""


async def echo(work: Work, emit: Emit) -> Outcome:
    """The output is the whole input."""
    emit(OutputPart(value=msgspec.Raw(work.input), more=False))
    return Outcome(status="succeeded", predict_time=0.0)


class EchoProvider(CountedSlots):
    """Implements `dispatch.ports.Provider` in memory. Runs begin when they are followed; handles do not survive a
    restart.
    """

    is_local: Final = True
    wants_local_files: Final = True

    def __init__(
        self,
        versions: Mapping[str, Behaviour],
        *,
        slots: Mapping[str, int] | None = None,
        broken: Mapping[str, str] | None = None,
    ) -> None:
        """`slots` of a version are 1 if not given; `broken` maps versions that cannot run to the reason."""
        super().__init__({**dict.fromkeys(versions, 1), **(slots or {})}, broken=broken)
        self._versions: Final = versions
        self._works: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Future[Outcome]] = {}
        self._canceled: set[str] = set()

    async def submit(self, work: Work) -> str:
        if work.version not in self._versions:
            raise NotFound(f"There is no version {work.version}.")
        handle = f"echo:{work.prediction_id}:{work.attempt}:{work.fence}"
        self._works[handle] = work
        return handle

    def begin_at_once(self, work: Work, listener: RunListener) -> None:
        """Runs are tasks here: use `submit`."""

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        del work, handle
        return None  # a run of an earlier process ended with that process

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        work = self._works.get(handle)
        if work is None:
            return Outcome(status="failed", error=f"Nothing is known of {handle}.", reason="worker_lost")
        task = self._tasks[handle] = asyncio.ensure_future(self._versions[work.version](work, emit))
        if handle in self._canceled:
            task.cancel()
        try:
            # `wait` does not raise when the run is cancelled, only when the follower is
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
