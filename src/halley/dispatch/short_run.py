"""Runs without a task and without a recorder, as long as they report nothing but a usual end.

Most runs are so: they begin in the call that places them, and their end is written in the call that reports it. One
that says something, fails, is stopped or takes longer is continued as an `Execution`, which can do all of it. Tests
hold both ways to the same rows and events.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import msgspec

from halley.dispatch.execution import Execution
from halley.dispatch.parts import RunParts
from halley.dispatch.ports import BegunRun, HeldSlot, Outcome, Progress, RunListener, Work
from halley.dispatch.recorder import FLUSH_SECONDS, StartSoon
from halley.dispatch.routing import ProviderRoute
from halley.dispatch.slot_queue import SlotQueue
from halley.errors import HalleyError
from halley.predictions.hints import Changed
from halley.predictions.queue import Claimed, Finished, Lease, Returned
from halley.predictions.status import Status
from halley.strict_json import HEAVY_BYTES, unfit

_log = logging.getLogger(__name__)

SMALL_BYTES: Final = 4096  # of an output: checked at once


class RunOwner(Protocol):
    """The worker."""

    def take_over(self, run: "ShortRun") -> "ContinuedRun":
        """Continue the run, which has begun, as an execution."""
        ...

    def gone(self, run: "ShortRun") -> None:
        """Its end is stored."""
        ...


class ShortRun(msgspec.Struct, eq=False):
    """Implements `dispatch.ports.RunListener`. A struct, because one is made for each prediction."""

    prediction_id: str
    version: str
    claimed: Claimed
    slot: HeldSlot
    runs: "ShortRuns"
    began: float  # by `Clock.monotonic`
    due: float  # when its start is committed alone, by the loop's time
    started_at: datetime
    begun: BegunRun | None = None
    is_left: bool = False
    output: msgspec.Raw | None = None
    predict_time: float | None = None
    has_ended: bool = False
    rest: "ContinuedRun | None" = None  # continues it

    @property
    def lease(self) -> Lease:
        return self.claimed.lease

    # calls from the worker; when its end is being written, they are too late

    def stop(self) -> None:
        """As `Execution.stop`."""
        if not self.has_ended:
            self._continued().stop()

    def lose_lease(self) -> None:
        """As `Execution.lose_lease`."""
        if not self.has_ended:
            self._continued().lose_lease()

    async def interrupt(self) -> None:
        """As `Execution.interrupt`."""
        if not self.has_ended:
            await self._continued().interrupt()

    def leave(self) -> None:
        """As `Execution.leave`."""
        self.is_left = True

    # calls from the provider

    def emit(self, progress: Progress) -> None:
        if not self.is_left:
            self._continued().emit(progress)

    def ended(self, outcome: Outcome) -> None:
        if not self.is_left:
            self._continued().ended(outcome)

    def succeeded(self, value: msgspec.Raw | None, predict_time: float | None) -> None:
        if self.is_left:
            return
        runs, text = self.runs, None
        if value is not None:
            text = bytes(value) if len(value) <= runs.small_bytes else None
            if text is None or unfit(text) is not None:
                self._continued().succeeded(value, predict_time)
                return
        returned = Returned(started_at=self.started_at, at=runs.now(), output=text, predict_time=predict_time)
        self.output, self.predict_time, self.has_ended = value, predict_time, True
        runs.young.pop(self.prediction_id, None)
        try:
            runs.queue.finish_returned(self.claimed.lease, returned, self._written)
        except Exception as error:  # noqa: BLE001 - the reader of frames, who calls this, must continue
            self._write_again(error)

    # internal steps

    def _written(self, outcome: Finished | Exception) -> None:
        if self.is_left:
            return
        if isinstance(outcome, Exception):
            self._write_again(outcome)
            return
        self.runs.publish(Changed(self.prediction_id, for_webhook=outcome.prediction.webhook is not None))
        self.runs.owner.gone(self)

    def _write_again(self, error: Exception) -> None:
        """An execution repeats the write, which is harmless; it waits for a busy store, and reports a lost lease."""
        if not isinstance(error, HalleyError):
            _log.warning("the end of %s is written again: %r", self.prediction_id, error)
        self._continued().succeeded(self.output, self.predict_time)

    def _continued(self) -> "ContinuedRun":
        if self.rest is None:
            self.runs.young.pop(self.prediction_id, None)
            self.rest = self.runs.owner.take_over(self)
        return self.rest


class ContinuedRun(Execution, RunListener):
    """The execution of a short run, which has begun already: its progress comes here, and `go_on` gets its end."""

    def __init__(
        self,
        run: ShortRun,
        *,
        parts: RunParts,
        route: ProviderRoute,
        slots: SlotQueue,
        start_soon: StartSoon,
        go_on: Callable[["ContinuedRun", Outcome], None],
    ) -> None:
        super().__init__(run.claimed, parts=parts, route=route, slots=slots, start_soon=start_soon)
        self._slot_held = False  # the provider releases it
        self.has_begun = True
        self.ends_at = run.began + self._timeout
        self._go_on = go_on
        self._is_left = False
        self._folder = self._recorder.folder = parts.files.workspace.name(self.prediction_id, self.lease.fence)
        self._recorder.start(run.started_at, seconds=max(0.0, run.due - asyncio.get_running_loop().time()))
        if run.begun is not None:
            self._cancel = run.begun.cancel
            run.begun.listen(self)

    def emit(self, progress: Progress) -> None:
        self._recorder.emit(progress)

    def ended(self, outcome: Outcome) -> None:
        if not self._is_left:
            self._forget_unused_folder(outcome)
            self._go_on(self, outcome)

    def leave(self) -> None:
        self._is_left = True
        super().leave()


class ShortRuns:
    """Begins short runs, and continues those that take longer than FLUSH_SECONDS: one timer for all."""

    def __init__(self, parts: RunParts, owner: RunOwner) -> None:
        self.owner = owner
        self.young: dict[str, ShortRun] = {}  # those that run, the oldest first
        self.queue: Final = parts.queue
        self.publish: Final = parts.bus.publish
        self.now: Final[Callable[[], datetime]] = parts.clock.now
        caps = parts.rules.caps
        self.small_bytes: Final = min(SMALL_BYTES, caps.output_bytes) if caps.output_items else -1
        self._monotonic = parts.clock.monotonic
        self._runnable = parts.catalog.by_id
        self._folder = parts.files.workspace.name
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, claimed: Claimed, slot: HeldSlot) -> ShortRun | None:
        """Begin the run now, in the slot. None if it may need more than a short run can do, or cannot begin: then
        nothing was begun.
        """
        prediction, lease = claimed.prediction, claimed.lease
        key, version = prediction.id, prediction.version
        runnable = self._runnable(version)
        if runnable is None or runnable.uses_files or prediction.created_at <= runnable.version.created_at:
            return None
        if prediction.status is not Status.STARTING or claimed.alone or claimed.recorded is not None:
            return None
        provider = slot.provider
        if key in self.young or len(claimed.work_input) > HEAVY_BYTES or not provider.is_local:
            return None
        loop = self._loop
        if loop is None:  # not asked for each run: Python 3.11 makes a system call to find it
            loop = self._loop = asyncio.get_running_loop()
        due = loop.time() + FLUSH_SECONDS
        run = ShortRun(key, version, claimed, slot, self, self._monotonic(), due, self.now())
        work = Work(
            prediction_id=key,
            attempt=lease.attempt,
            fence=lease.fence,
            version=version,
            model=prediction.model,
            input=claimed.work_input,
            context=claimed.context,
            folder=self._folder(key, lease.fence),
        )
        try:
            run.begun = provider.begin_at_once(work, run)
        except Exception:  # noqa: BLE001 - an execution gets the same error, and handles it
            return None
        if run.begun is None:
            return None
        self.young[key] = run
        if self._timer is None:
            self._timer = loop.call_at(due, self._hand_over_old)
        return run

    def close(self) -> None:
        """The worker ends."""
        self.young.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _hand_over_old(self) -> None:
        self._timer, loop = None, asyncio.get_running_loop()
        now = loop.time()
        for run in list(self.young.values()):
            if run.due > now:
                self._timer = loop.call_at(run.due, self._hand_over_old)
                return
            run._continued()  # noqa: SLF001
