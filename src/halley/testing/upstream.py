"""An upstream service, and a provider for it: the situation of a gateway, in memory.

`Upstream` is the service: it does not notice our restarts and counts requests. `RemoteProvider` is our side of it, one
for each process of ours. Between any two of its steps a test may let that process die.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from halley.dispatch.ports import Emit, Outcome, Progress, RunListener, Work
from halley.errors import HalleyError, OutcomeUnknown, SubmitRefused
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.echo import Behaviour
from halley.providers.slots import CountedSlots

Step = Callable[[str], Awaitable[None]]
"""Called with the name of a step before the step; one that never returns is a process that died there."""


class UpstreamRun:
    """One run there: its progress so far, and how it ended."""

    def __init__(self, work: Work, behaviour: Behaviour) -> None:
        self.work = work
        self._said: list[Progress] = []
        self._changed = asyncio.Event()
        self._task = asyncio.ensure_future(behaviour(work, self._say))
        self._task.add_done_callback(lambda _: self._changed.set())

    @property
    def was_canceled(self) -> bool:
        return self._task.cancelled()

    def cancel(self) -> None:
        self._task.cancel()

    def _say(self, item: Progress) -> None:
        self._said.append(item)
        self._changed.set()

    async def report(self, emit: Emit, step: Step) -> Outcome:
        """Report everything from the beginning until it ends. A follower that stops changes nothing."""
        reported = 0
        while True:
            while reported < len(self._said):
                emit(self._said[reported])
                reported += 1
            await step("while_followed")
            if self._task.done():
                return Outcome(status="canceled") if self._task.cancelled() else self._task.result()
            self._changed.clear()
            await self._changed.wait()


class Upstream:
    """The service. `can_tell`: it can be asked for the run of one of our predictions, like a service with a list."""

    def __init__(self, versions: Mapping[str, Behaviour], *, can_tell: bool = True) -> None:
        self.can_tell = can_tell
        self.refuses: HalleyError | None = None  # its answer to every submit
        self.submits: Counter[str] = Counter()  # by prediction
        self.runs: dict[str, UpstreamRun] = {}
        self._versions: Final = versions

    def create(self, work: Work) -> str:
        """Begin a run at each call; returns its id."""
        if self.refuses is not None:
            raise self.refuses
        self.submits[work.prediction_id] += 1
        handle = f"up-{len(self.runs) + 1}"
        self.runs[handle] = UpstreamRun(work, self._versions[work.version])
        return handle

    def find(self, prediction_id: str) -> str | None:
        """The newest run of our prediction, or None.

        Raises:
            OutcomeUnknown: it has no list.
        """
        if not self.can_tell:
            raise OutcomeUnknown("The upstream cannot be asked for runs whose id is not known.")
        found = [handle for handle, run in self.runs.items() if run.work.prediction_id == prediction_id]
        return found[-1] if found else None


async def _go_on(step: str) -> None:
    del step


class RemoteProvider(CountedSlots):
    """Implements `dispatch.ports.Provider` for an `Upstream`. The process may die at each step of submitting and
    following.
    """

    is_local: Final = False
    wants_local_files: Final = False

    def __init__(
        self,
        upstream: Upstream,
        slots: Mapping[str, int],
        *,
        broken: Mapping[str, str] | None = None,
        step: Step = _go_on,
    ) -> None:
        super().__init__(slots, broken=broken)
        self._upstream = upstream
        self._step = step
        self._without_slot: set[str] = set()

    async def submit(self, work: Work) -> str:
        if not self.serves(work.version):
            raise SubmitRefused(f"There is no version {work.version}.")
        await self._step("before_first_byte")
        handle = self._upstream.create(work)
        await self._step("after_first_byte")
        await asyncio.sleep(0)  # the answer is being sent
        await self._step("after_answer")
        return handle

    def begin_at_once(self, work: Work, listener: RunListener) -> None:
        """Not local: use `submit`."""

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        found = self._upstream.find(work.prediction_id) if handle is None else handle
        if found is None or found not in self._upstream.runs:
            return None
        if not work.has_slot:
            self._without_slot.add(found)
        return found

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        run = self._upstream.runs.get(handle)
        if run is None:
            return Outcome(status="failed", error=f"The upstream knows nothing of {handle}.", reason=UNKNOWN_REASON)
        try:
            return await run.report(emit, self._step)
        finally:
            if handle not in self._without_slot:
                self.drop_slot(run.work.version)

    def cancel(self, handle: str) -> None:
        if (run := self._upstream.runs.get(handle)) is not None:
            run.cancel()
