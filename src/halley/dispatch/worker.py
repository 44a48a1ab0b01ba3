"""Claims predictions for this process's free slots, runs them, and renews its leases."""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final

from halley.dispatch.execution import Execution
from halley.dispatch.parts import RunParts
from halley.dispatch.ports import Outcome, ProviderRouter, UnrunnableReports
from halley.dispatch.routing import held, route
from halley.dispatch.short_run import ContinuedRun, ShortRun, ShortRuns
from halley.dispatch.slot_queue import SlotQueue
from halley.errors import Busy, HalleyError, LeaseLost
from halley.ids import NewId
from halley.predictions.hints import Hint, StopRequested, WorkWaits
from halley.predictions.queue import Claimed
from halley.predictions.status import Fact
from halley.retry import LONGEST_RETRY_SECONDS, retry_until_accepted, run_forever

_log = logging.getLogger(__name__)

CLOCKS_SECONDS: Final = 0.5  # how late a deadline may be noticed
POLL_SECONDS: Final = 2.0  # the longest delay of a lost hint
SETTLE_SECONDS: Final = 5.0  # for releasing runs at a stop; on a full disk they are left to the next start


class Worker:
    """Implements `predictions.ports.Placement`. `run` must be running; everything happens in the loop's thread.

    It ends only predictions that it has leased. Waiting predictions of unknown versions are left to other workers and
    reported: the maintainer decides whether any worker can run them.
    """

    def __init__(
        self,
        parts: RunParts,
        *,
        providers: ProviderRouter,
        reports: UnrunnableReports,
        session_id: str,
        new_id: NewId,
    ) -> None:
        """`session_id` is the first one; a lost one is followed by another, which `new_id` names."""
        self._parts = parts
        parts.open_submits.leases_hold = lambda: self.fault is None
        self._queue = parts.queue
        self._catalog = parts.catalog
        self._clock = parts.clock
        self._rules = parts.rules
        self._providers = providers
        self._reports = reports
        self._new_id = new_id
        self._first_session_id = session_id
        self._session_id = ""  # empty until the store has accepted one
        self._offers: frozenset[str] = frozenset()  # as the store knows them
        self._renewed_at = -inf  # when the last accepted renewal began, in elapsed time
        self._renewing = asyncio.Lock()
        self._runs: dict[str, ShortRun | Execution] = {}
        self._short_runs = ShortRuns(parts, self)
        self._slots = SlotQueue(on_capacity=self.on_capacity, freed=self._reevaluate_if_awaited)
        self._tasks: set[asyncio.Task[object]] = set()
        self._waiting: set[str] = set()  # versions that may have waiting predictions
        self._hinted: set[str] = set()  # versions for which a hint came after their last claim was submitted
        self._failing: set[str] = set()  # versions that could not run here when that was tried last: not offered
        self._parked: set[str] = set()  # versions of broken models, until a model is loaded
        self._wake = asyncio.Event()
        self._looked_at = -inf  # the last poll of the store, by the loop's time
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    @property
    def running(self) -> int:
        """How many predictions run here now."""
        return len(self._runs)

    @property
    def fault(self) -> str | None:
        """Why no prediction can begin here now, or None."""
        if not self._session_id:
            return "No session is open yet: nothing can begin."
        if self._clock.elapsed() - self._renewed_at > self._rules.lease_seconds:
            return "The leases could not be renewed in time: nothing can begin."
        return None

    # calls from predictions (Placement)

    def reserve(self, version: str, account_id: str) -> str | None:
        if self._draining or not self._session_id or version in self._waiting:
            return None  # waiting predictions come first
        if self._slots.holds_up(version, account_id):
            return None
        return self._session_id if self._providers.of(version).take_slot(version) else None

    def begin(self, version: str, claimed: Claimed) -> None:
        if self._draining:  # the claim or the create was under way when the server began to stop
            self.give_up(version)
            self._give_back_unrun(claimed)
            return
        if not self._runs:
            self._idle.clear()
        if self._failing:
            self._failing.discard(version)
        slot = self._providers.held(version)
        short = self._short_runs.begin(claimed, slot)
        if short is not None:
            self._runs[short.prediction_id] = short
            return
        way = route(self._providers, claimed, slot)
        run = self._runs[claimed.prediction.id] = Execution(
            claimed, parts=self._parts, route=way, slots=self._slots, start_soon=self._start_soon
        )
        self._go_on(run, None)

    def give_up(self, version: str) -> None:
        self._providers.of(version).drop_slot(version)

    def _give_back_unrun(self, claimed: Claimed) -> None:
        """Release the lease in a task, even if the caller was cancelled; if that fails, the next start reaps it."""
        release = self._queue.release(claimed.lease, self._clock.now())
        self._start_soon(self._settled(release, claimed.prediction.id))

    # calls from bus and provider

    def receive(self, hint: Hint) -> None:
        """Receive a hint from the bus."""
        if type(hint) is WorkWaits:
            self.on_capacity(hint.version)
        elif type(hint) is StopRequested and (run := self._runs.get(hint.prediction_id)) is not None:
            run.stop()

    def on_capacity(self, version: str) -> None:
        """There may be work and capacity for this version."""
        self._waiting.add(version)
        self._hinted.add(version)
        self._wake.set()

    def reevaluate(self) -> None:
        """A model was loaded, or all were: waiting predictions can be claimed now, or never."""
        self._waiting |= self._parked
        self._parked.clear()
        self._failing.clear()
        self._wake.set()

    def broken(self, version: str, error: str, reason: str) -> None:
        """This version cannot run here: its waiting predictions fail, unless another worker can run them."""
        self._waiting.discard(version)  # do not load it again without need
        self._failing.add(version)
        self._put_back(version, Outcome(status="failed", error=error, reason=reason))
        self._reports.broken(version, error, reason)

    # services

    async def open(self) -> None:
        """Open a session.

        A store that refuses writes must not prevent reading, and due data must be removable: then `run` retries, and
        nothing is claimed until it succeeds.
        """
        try:
            await self._open()
        except Busy as error:
            _log.warning("nothing runs until the database accepts writes again: %s", error)

    async def run(self) -> None:
        """Claim and renew until cancelled. Call `open` first."""
        try:
            if not self._session_id:
                await retry_until_accepted(self._open, self._clock, "nothing runs yet")
            async with asyncio.TaskGroup() as group:
                group.create_task(
                    run_forever(self._claim_all, self._clock, "no predictions can be taken from the queue")
                )
                group.create_task(run_forever(self._beat, self._clock, "leases cannot be renewed"))
                group.create_task(run_forever(self._tick, self._clock, "timers are paused"))
        finally:
            self._short_runs.close()
            for run in self._runs.values():
                run.leave()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self, grace_seconds: float) -> None:
        """Claim nothing more, let running predictions end, then release the rest. Loses nothing."""
        self._draining = True
        for run in self._executions:
            run.put_back()
        await self._give_back([run for run in self._executions if run.continues_elsewhere])
        try:
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        except TimeoutError:
            await self._give_back(list(self._runs.values()))

    async def _give_back(self, runs: Sequence[ShortRun | Execution]) -> None:
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                # at the same time: one whose last output cannot be stored now must not keep the others
                await asyncio.gather(*(self._settled(run.interrupt(), run.prediction_id) for run in runs))
        except TimeoutError:
            _log.warning("what still runs cannot be given back now: the next start takes it back")

    async def _open(self) -> None:
        """Open the first session. Repeating it is harmless."""
        await self._open_session(self._first_session_id)
        self._waiting.update(await self._queue.waiting())
        self._wake.set()

    async def _open_session(self, session_id: str) -> None:
        began, offers = self._clock.elapsed(), self._runnable()
        await self._queue.open_session(session_id, self._clock.now(), self._rules.lease_seconds, offers=offers)
        self._session_id, self._renewed_at, self._offers = session_id, began, offers

    def _runnable(self) -> frozenset[str]:
        """The offered versions: all known ones, except those that could not run."""
        return self._catalog.described() - self._failing

    async def _claim_all(self) -> None:
        await self._wake_or_poll()
        if not self._draining:
            for version in list(self._waiting):
                await self._claim(version)

    async def _wake_or_poll(self) -> None:
        """Return when there may be something to claim. Hints do not delay the poll of the store."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._looked_at + POLL_SECONDS):
                await self._wake.wait()
        self._wake.clear()
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= POLL_SECONDS:  # since the last poll, even if a hint woke this task
            self._looked_at = now
            waiting = await self._queue.waiting()
            self._providers.note_waiting(waiting)
            self._waiting.update(waiting, self._slots.versions)

    async def _claim(self, version: str) -> None:
        runnable = self._catalog.by_id(version)
        if runnable is not None and not runnable.is_described:
            return  # `reevaluate` is called when it is loaded, `broken` if it cannot be
        if runnable is None:
            if self._catalog.is_loading:
                return  # it may only be late: `reevaluate` is called when all models are loaded
            model = await self._queue.model_waited_for(version)
            if self._catalog.by_id(version) is not None:
                return  # it was just loaded, and `reevaluate` has woken us
            self._waiting.discard(version)
            if model is not None and self._catalog.is_broken(model):
                self._parked.add(version)  # it waits for the repair, at most `max_queue_seconds`
            else:
                await self._leave_alone(version)
            self._put_back(version)
            return
        if self._slots.serve(version):
            return
        slots, provider = 0, self._providers.of(version)
        while provider.take_slot(version):
            slots += 1
        if slots == 0:
            provider.request_capacity(version)
            return
        claimed: list[Claimed] = []
        self._hinted.discard(version)
        try:
            claimed = await self._queue.claim(
                self._session_id, {version: slots}, self._clock.now(), but_of=self._slots.full
            )
        finally:
            for _ in range(slots - len(claimed)):
                provider.drop_slot(version)
        if len(claimed) < slots and version not in self._hinted and not self._slots.waits(version):
            self._waiting.discard(version)
        for item in claimed:
            self.begin(version, item)

    async def _leave_alone(self, version: str) -> None:
        self._reports.unknown(version)

    async def _beat(self) -> None:
        # a renewal also returns runs that have ended elsewhere, if the hint about that was lost
        await self._clock.sleep(min(self._rules.heartbeat_seconds, POLL_SECONDS))
        if self._runs or self._clock.elapsed() - self._renewed_at >= self._rules.heartbeat_seconds:
            await self._renew()

    async def _renew(self) -> None:
        # after a pause, heartbeat and time limits renew at the same time: a session must not be lost twice
        async with self._renewing:
            await self._renew_alone()

    async def _renew_alone(self) -> None:
        began, offers = self._clock.elapsed(), self._runnable()
        changed = None if offers == self._offers else offers
        try:
            ended = await self._queue.renew(
                self._session_id, self._clock.now(), self._rules.lease_seconds, offers=changed
            )
        except LeaseLost:
            _log.error("this server's session was lost (a long pause?): everything that runs is stopped")
            for run in list(self._runs.values()):
                run.lose_lease()
            await self._open_session(self._new_id())
            return
        self._renewed_at, self._offers = began, offers
        for lease in ended:
            held = self._runs.get(lease.prediction_id)
            if held is not None and held.lease == lease:
                held.stop()

    async def _tick(self) -> None:
        await self._clock.sleep(CLOCKS_SECONDS)
        self._time_out_runs()  # even if the store refuses writes
        await self.renew_late()

    async def renew_late(self) -> None:
        """Renew after a pause of this process, or when nothing could be written: before the session counts as lost."""
        if self._session_id and self._clock.elapsed() - self._renewed_at > self._rules.lease_seconds / 2:
            await self._renew()

    def _time_out_runs(self) -> None:
        now, waited_since = self._clock.monotonic(), self._clock.elapsed() - self._rules.max_queue_seconds
        for run in self._executions:
            if run.ends_at <= now:
                run.time_out()
            elif run.waits_since <= waited_since:
                run.put_back(Fact.QUEUE_TIME_PASSED)

    # runs and their tasks

    def _put_back(self, version: str, verdict: Outcome | None = None) -> None:
        for run in self._executions:
            if run.version == version:
                run.put_back(verdict)

    @property
    def _executions(self) -> list[Execution]:
        """What takes longer than a moment, waits for something, or has a bad end."""
        return [run for run in self._runs.values() if isinstance(run, Execution)]

    def take_over(self, run: ShortRun) -> ContinuedRun:
        """Continue a short run. See `short_run.RunOwner`."""
        continued = ContinuedRun(
            run,
            parts=self._parts,
            route=held(run.slot),
            slots=self._slots,
            start_soon=self._start_soon,
            go_on=self._go_on,
        )
        if self._runs.get(run.prediction_id) is run:
            self._runs[run.prediction_id] = continued
        return continued

    def _go_on(self, run: Execution, outcome: Outcome | None) -> None:
        self._start_soon(self._go(run, outcome))

    async def _go(self, run: Execution, outcome: Outcome | None) -> None:
        try:
            await run.go(outcome)
        except Exception:  # noqa: BLE001 - after any error, the prediction must come to an end
            _log.exception("the run of %s broke", run.prediction_id)
            # its lease is renewed as long as it is here, so nothing else would end it
            while not await self._settled(run.break_off(), run.prediction_id):
                await self._clock.sleep(LONGEST_RETRY_SECONDS)
        finally:
            self.gone(run)

    def gone(self, run: ShortRun | Execution) -> None:
        """Its end is stored. See `short_run.RunOwner`."""
        if self._runs.get(run.prediction_id) is run:  # otherwise the next attempt began while this one cleaned up
            del self._runs[run.prediction_id]
        if not self._runs:
            self._idle.set()
        if run.version in self._waiting:
            self._wake.set()

    def _reevaluate_if_awaited(self, version: str) -> None:
        if version in self._waiting:
            self._wake.set()

    @staticmethod
    async def _settled(work: Awaitable[None], prediction_id: str) -> bool:
        """Wait for the write; False after an error that must not happen."""
        try:
            await work
        except HalleyError as error:
            _log.warning("%s could not be settled: %s", prediction_id, error)
        except Exception:  # noqa: BLE001 - neither a stop nor the other runs may end by it
            _log.exception("%s could not be settled", prediction_id)
            return False
        return True

    def _start_soon(self, work: Coroutine[Any, Any, object]) -> None:
        # the worker owns these tasks: `run` cancels and awaits the remaining ones
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
