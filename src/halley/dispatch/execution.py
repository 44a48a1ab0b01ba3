"""Executes one leased prediction: stages its files, runs it, records it, ends it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from halley.dispatch.parts import RunParts
from halley.dispatch.ports import Outcome, Work, loses_runs
from halley.dispatch.recorder import Recorder, StartSoon
from halley.dispatch.routing import ProviderRoute
from halley.dispatch.slot_queue import SlotQueue
from halley.dispatch.submission import Submission, SubmitRules
from halley.dispatch.submit_errors import is_transient, is_unknown, refused, unusable_input
from halley.dispatch.verdicts import Verdict, timed_out, unrun, verdict_of
from halley.errors import HalleyError, InputInvalid, LeaseLost
from halley.predictions.hints import Changed, WorkWaits
from halley.predictions.queue import Claimed
from halley.predictions.records import NewEvent
from halley.predictions.status import Fact, Status
from halley.retry import RETRY_SECONDS, retry_until_accepted
from halley.strict_json import HEAVY_BYTES

_log = logging.getLogger(__name__)
T = TypeVar("T")
ADOPTED_SECONDS: Final = 10.0  # for an adopted run after its time limit: it may have ended in time


class Execution:
    """The execution of one lease. `stop` may be called at any time; `go` always returns with the lease settled
    or lost.
    """

    def __init__(
        self,
        claimed: Claimed,
        *,
        parts: RunParts,
        route: ProviderRoute,
        slots: SlotQueue,
        start_soon: StartSoon,
    ) -> None:
        """The slot is held already, unless the route leads to a former provider.

        `start_soon` runs tasks that end with the worker.
        """
        self.claimed = claimed
        self.lease = claimed.lease
        self.prediction_id = claimed.prediction.id
        self.version = claimed.prediction.version
        self._parts = parts
        self._clock = clock = parts.clock
        self._provider = route.provider
        self._slots = slots
        self._runnable = parts.catalog.by_id(self.version)
        version = self._runnable.version if self._runnable is not None else None
        self._timeout = (version and version.run_timeout_seconds) or parts.rules.run_timeout_seconds
        self.ends_at = clock.monotonic() + self._timeout
        self.waits_since = clock.elapsed() - claimed.waited_seconds  # its creation, in elapsed time
        self.has_begun = False  # submitted, or about to be: from then on its run time counts
        self._cancel: Callable[[], None] | None = None  # once it was submitted
        self._submission: Submission | None = None  # of a provider that continues without us
        if route.is_former or not route.provider.is_local:
            lookup_limit_seconds = parts.rules.max_queue_seconds + self._timeout
            rules = SubmitRules(self._retry_until_accepted, lookup_limit_seconds, parts.open_submits)
            self._submission = Submission(claimed, route=route, ledger=parts.queue, rules=rules)
        self._has_lost_lease = False
        self._preparing: asyncio.Task[Work] | None = None
        self._verdict_before: Outcome | Fact | None = None  # how it ends if it never begins; None: it is released
        self._stopped = claimed.prediction.is_terminal  # then the upstream run is only to be canceled
        self._timed_out = False
        self._slot_held = not route.is_former
        self._is_alone = False  # kind of the held slot
        self._folder: str | None = None
        self._is_folder_made = False
        self._recorder = Recorder(self, parts=parts, start_soon=start_soon)

    def leave(self) -> None:
        """Its worker has ended: drop what the provider still reports."""
        self._recorder.drop()

    @property
    def continues_elsewhere(self) -> bool:
        """Whether its run continues without this process: nothing has to be waited for."""
        return self._submission is not None and self._cancel is not None and not loses_runs(self._provider)

    def was_stopped(self) -> bool:
        """True after `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """The prediction has ended elsewhere, or its output cannot be stored: stop the work."""
        self._stopped = True
        self._recorder.stop_fetching()
        if self._cancel is not None:
            self._cancel()
        else:
            self.put_back(Outcome(status="canceled"))

    def lose_lease(self) -> None:
        """Another worker has the lease. A local run is stopped; an upstream run may now be followed by that worker."""
        self._has_lost_lease = True
        if self._submission is None:
            self.stop()
            return
        self._submission.lose_lease()
        self._recorder.stop_fetching(has_lost_lease=True)
        self.put_back()

    def put_back(self, verdict: Outcome | Fact | None = None) -> None:
        """If it has not begun, do not begin it: it ends with the verdict, or without one waits in the queue again."""
        if self._preparing is not None:
            self._verdict_before = verdict
            self._preparing.cancel()

    def time_out(self) -> None:
        """The run, or its staging, took longer than its version allows."""
        if not self._timed_out:
            self._timed_out = True
            if self._submission is not None:
                self._submission.time_out()
            self.stop()

    async def go(self, outcome: Outcome | None = None) -> None:
        """Run it, or end it with the outcome of a run that began at once."""
        try:
            await self._end(await self._outcome() if outcome is None else outcome)
        except LeaseLost:
            _log.warning("the lease of %s went to another holder: its outcome is dropped", self.prediction_id)
        finally:
            self._drop_slot()
            if self._folder is not None:
                await self._parts.files.workspace.remove(self._folder)

    async def _end(self, outcome: Outcome | Fact | float) -> None:
        if self._has_lost_lease and self._submission is None:
            await self.interrupt()  # the lease is still valid: the run ended because the server stopped it
        elif isinstance(outcome, float):
            await self._give_back(outcome)
        elif isinstance(outcome, Fact) or self._stopped:
            await self._finish(outcome)
        elif outcome.reason == "worker_lost" and self._submission is None:
            await self.interrupt()  # the provider was stopped with this server
        elif outcome.shared:
            await self._finish_or_run_again_alone(outcome)
        else:
            await self._finish(outcome)

    async def break_off(self) -> None:
        """An internal error occurred: end the prediction, so that it does not stay unfinished."""
        if self._submission is not None and self._cancel is not None:
            self._cancel()
        error = "An internal error of the server ended this prediction; the server's log has the details."
        await self._finish(Outcome(status="failed", error=error, reason="internal"))

    async def interrupt(self) -> None:
        """The server stops: release it unrun, or, if output was shown already, end it with the reason.

        An upstream run continues, and the worker that claims it next adopts it. While it is being submitted the lease
        is kept, so that no other worker asks the provider for it too early.
        """
        if self._submission is not None and self._submission.has_begun:
            if not self._submission.in_flight:
                self.lose_lease()
                await self._give_back()
            return
        if self._recorder.has_published_output:
            outcome = Outcome(
                status="failed", error="The server was stopped while this prediction ran.", reason="server_stopped"
            )
            await self._finish(outcome)
        else:
            await self._give_back()

    async def _outcome(self) -> Outcome | Fact | float:
        """How it ended. If it never began and may be tried again: after so many seconds."""
        refusal = await self._late_refusal()
        if refusal is not None:
            return refusal
        try:
            work = await self._work()
        except LeaseLost:
            raise
        except HalleyError as error:
            if not is_transient(error):
                return unusable_input(error)
            _log.warning("the files of %s cannot be brought now, it waits again: %s", self.prediction_id, error)
            return RETRY_SECONDS
        if work is None:
            return 0.0 if self._verdict_before is None else self._verdict_before
        if self.was_stopped() and self.claimed.recorded is None:
            return Outcome(status="canceled")
        self.has_begun = True
        self.ends_at = self._clock.monotonic() + self._seconds_left()
        try:
            handle = await self._begin(work)
        except LeaseLost:
            raise
        except HalleyError as error:
            if not is_transient(error):
                return refused(error)
            _log.warning("%s could not begin and waits again: %s", self.prediction_id, error)
            return RETRY_SECONDS if self._submission is None else self._submission.retry_seconds
        del work
        if handle is None:
            return Outcome(status="canceled")
        self._cancel = partial(self._provider.cancel, handle)
        self._forget_large_input()
        if self._submission is not None:
            self._recorder.place = self._submission.place(handle)
        if self.claimed.recorded is None:
            self._recorder.start()
        else:
            self._recorder.resume(self.claimed.recorded)
        if self.was_stopped():  # a stop during the submit
            self._cancel()
        return await self._follow(handle)

    def _seconds_left(self) -> float:
        """The remaining run time. An adopted run has used some of it already."""
        left = self._timeout - self.claimed.ran_seconds
        return left if self.claimed.recorded is None else max(left, ADOPTED_SECONDS)

    async def _begin(self, work: Work) -> str | None:
        if self._submission is None:
            return await self._provider.submit(work)
        return await self._submission.begin(work, self.was_stopped)

    async def _follow(self, handle: str) -> Outcome:
        if self._submission is not None:
            return await self._submission.follow(handle, self._recorder.emit, self._hand_over_slot)
        self._hand_over_slot()
        outcome = await self._provider.follow(handle, self._recorder.emit)
        self._forget_unused_folder(outcome)
        return outcome

    def _forget_unused_folder(self, outcome: Outcome) -> None:
        if outcome.status == "succeeded" and not self._is_folder_made and not self._recorder.may_have_files:
            self._folder = None  # it was never made, so it need not be removed

    def _hand_over_slot(self) -> None:
        """From here on the provider releases it."""
        self._slot_held = False

    def _forget_large_input(self) -> None:
        """The provider has the input: release it here for the time of the run."""
        claimed = self.claimed
        if len(claimed.work_input) > HEAVY_BYTES:
            prediction = msgspec.structs.replace(claimed.prediction, input=b"{}")
            self.claimed = msgspec.structs.replace(claimed, prediction=prediction, work_input=b"{}")

    async def _late_refusal(self) -> Outcome | None:
        """Check the input again, if it was created before the version's schema was known."""
        prediction, runnable = self.claimed.prediction, self._runnable
        if self.claimed.recorded is not None:
            return None  # it may have been submitted
        if runnable is None or prediction.created_at > runnable.version.created_at:
            return None
        found = await self._retry_until_accepted(lambda: self._parts.inputs.look(runnable, self.claimed.work_input))
        shown = self.claimed.work_input if found.shown is None else found.shown
        if shown != prediction.input:
            await self._retry_until_accepted(lambda: self._parts.queue.show_input(self.lease, shown))
            self._parts.bus.publish(Changed(self.prediction_id))
        try:
            self._parts.inputs.refuse(runnable, found)
        except InputInvalid as error:
            return Outcome(status="failed", error=str(error), reason="input_invalid")
        return None

    async def _work(self) -> Work | None:
        """The work to run, with a slot for it. None if it was put back meanwhile."""
        runnable = self._runnable
        is_alone = self.claimed.alone and self.claimed.recorded is None
        brings_files = self._provider.wants_local_files and self.claimed.recorded is None
        uses_files = brings_files and runnable is not None and runnable.uses_files
        work = self._make_work(is_alone=is_alone, uses_files=uses_files)
        document = b"" if runnable is None else runnable.version.openapi_schema
        if not uses_files or not self._parts.files.stager.has_files(self.version, document):
            return await self._prepared(self._with_slot(work)) if is_alone else work
        return await self._prepared(self._staged(work, document))

    def _make_work(self, *, is_alone: bool, uses_files: bool) -> Work:
        prediction, lease, workspace = self.claimed.prediction, self.lease, self._parts.files.workspace
        # a model may return a file although its schema names none: then its process makes the folder
        self._is_folder_made = uses_files
        place = workspace.make if uses_files else workspace.name
        folder = self._folder = self._recorder.folder = place(prediction.id, lease.fence)
        return Work(
            prediction_id=prediction.id,
            attempt=lease.attempt,
            fence=lease.fence,
            version=prediction.version,
            model=prediction.model,
            account_id=prediction.account_id,
            input=self.claimed.work_input,
            context=self.claimed.context,
            alone=is_alone,
            folder=folder,
            has_output=self.claimed.recorded is not None and self.claimed.recorded.outputs > 0,
            has_slot=self._slot_held,
            age_seconds=self._clock.elapsed() - self.waits_since,
            may_send=self._submission.may_send if self._submission is not None else lambda: True,
        )

    async def _prepared(self, preparing: Coroutine[Any, Any, Work]) -> Work | None:
        """The result of preparing, unless it was put back: a separate task, so that this ends at once."""
        self._drop_slot()
        with self._slots.on_the_way(self.claimed.prediction.account_id, self.version):
            self._preparing = asyncio.ensure_future(preparing)
            try:
                return await self._preparing
            except asyncio.CancelledError:
                if (ours := asyncio.current_task()) is not None and ours.cancelling():
                    raise
                return None
            finally:
                self._preparing = None

    async def _staged(self, work: Work, document: bytes) -> Work:
        """Stage the files, then take a slot: a slow host must not hold a slot."""
        prediction = self.claimed.prediction
        staged = await self._parts.files.stager.stage(
            prediction_id=prediction.id,
            version=self.version,
            openapi_schema=document,
            account_id=prediction.account_id,
            work_input=work.input,
            folder=Path(work.folder or ""),
        )
        return await self._with_slot(msgspec.structs.replace(work, input=staged.input, paths=staged.paths))

    async def _with_slot(self, work: Work) -> Work:
        self.ends_at = inf  # waiting for a slot has the time limit of the queue
        await self._slots.take_slot(self._provider, self.version, alone=work.alone)
        self._slot_held, self._is_alone = True, work.alone
        return work

    async def _finish_or_run_again_alone(self, outcome: Outcome) -> None:
        """Its process ended with other runs inside: run it again alone, so that a crash costs other predictions
        nothing.
        """
        events = await self._recorder.rest()
        if self._recorder.has_published_output or self._recorder.error is not None:
            await self._finish(outcome, events)
            return
        mark = (
            f"\n[halley] {outcome.error} It runs again, alone in a process: attempt {self.lease.attempt + 1} begins\n"
        )
        again = await self._retry_until_accepted(
            lambda: self._parts.queue.run_again_alone(self.lease, self._clock.now(), events=events, mark=mark)
        )
        if not again.requeued:
            await self._finish(outcome, events)
            return
        _log.warning("%s is run again, alone: %s", self.prediction_id, outcome.error)
        self._parts.bus.publish(Changed(self.prediction_id))
        self._parts.bus.publish(WorkWaits(self.version))

    async def _finish(self, outcome: Outcome | Fact, events: Sequence[NewEvent] = ()) -> None:
        events = [*events, *await self._recorder.rest()]
        fact, error, reason, seconds = self._verdict(outcome)
        finished = await self._retry_until_accepted(
            lambda: self._parts.queue.finish(
                self.lease, fact, self._clock.now(), events=events, error=error, reason=reason, predict_time=seconds
            )
        )
        if finished.applied or events:  # if it had ended, its log text is stored
            self._parts.bus.publish(Changed(self.prediction_id))

    async def _give_back(self, backoff_seconds: float = 0.0) -> None:
        await self._retry_until_accepted(
            lambda: self._parts.queue.release(self.lease, self._clock.now(), backoff_seconds=backoff_seconds)
        )
        if not backoff_seconds:
            self._parts.bus.publish(WorkWaits(self.version))

    async def _retry_until_accepted(self, write: Callable[[], Awaitable[T]]) -> T:
        """Retry the write: giving up would leave the prediction unfinished forever."""
        return await retry_until_accepted(write, self._clock, f"{self.prediction_id} cannot be settled yet")

    def _verdict(self, outcome: Outcome | Fact) -> Verdict:
        if self._timed_out and not (self._cancel is None and is_unknown(outcome)):  # else it was canceled there
            return timed_out(self._timeout, has_begun=self.has_begun)
        if isinstance(outcome, Fact):
            return unrun(outcome, has_run=self.claimed.prediction.status is not Status.STARTING)
        return verdict_of(outcome, self._recorder.error)

    def _drop_slot(self) -> None:
        if self._slot_held:
            self._slot_held = False
            self._provider.drop_slot(self.version, alone=self._is_alone)
