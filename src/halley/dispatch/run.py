"""One prediction in our hands: stage its files, run it, record it, end it."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import InputStager, Outcome, Provider, Work, Workspace
from halley.dispatch.recorder import Recorder
from halley.errors import Busy, HalleyError, InputInvalid, LeaseLost
from halley.models.catalog import Catalog
from halley.patience import RETRY_SECONDS, patiently
from halley.predictions.inputs import InputCheck
from halley.predictions.ports import Bus, Changed, Claimed, WorkQueue
from halley.predictions.status import Fact

_log = logging.getLogger(__name__)

T = TypeVar("T")
_FACTS: Final = {"succeeded": Fact.SUCCEEDED, "failed": Fact.FAILED}


class MakeRecorder(Protocol):
    """Makes the recorder of a run (the dispatcher knows its parts)."""

    def __call__(self, run: "Run") -> Recorder: ...


class Run:
    """The life of one lease. `stop` may come at any moment; `go` always ends with the lease settled or lost."""

    def __init__(
        self,
        claimed: Claimed,
        *,
        queue: WorkQueue,
        provider: Provider,
        stager: InputStager,
        workspace: Workspace,
        catalog: Catalog,
        inputs: InputCheck,
        bus: Bus,
        clock: Clock,
        run_timeout_seconds: float,
        make_recorder: MakeRecorder,
    ) -> None:
        self.claimed = claimed
        self.lease = claimed.lease
        self.prediction_id = claimed.prediction.id
        self.version = claimed.prediction.version
        self._queue = queue
        self._provider = provider
        self._stager = stager
        self._workspace = workspace
        self._runnable = catalog.by_id(self.version)
        self._inputs = inputs
        self._bus = bus
        self._clock = clock
        version = self._runnable.version if self._runnable is not None else None
        self._timeout = (version and version.run_timeout_seconds) or run_timeout_seconds
        self.ends_at = clock.monotonic() + self._timeout
        self._handle: str | None = None
        self._stopped = False
        self._timed_out = False
        self._slot_held = True
        self._folder: Path | None = None
        self._recorder = make_recorder(self)

    def was_stopped(self) -> bool:
        """True once `stop` came."""
        return self._stopped

    def stop(self) -> None:
        """The prediction has ended elsewhere, or its output cannot be kept: stop the work."""
        self._stopped = True
        if self._handle is not None:
            self._provider.cancel(self._handle)

    def time_out(self) -> None:
        """The run took longer than its version may."""
        if not self._timed_out:
            self._timed_out = True
            self.stop()

    async def go(self) -> None:
        try:
            outcome = await self._outcome()
            if outcome is None:
                await self._give_back(RETRY_SECONDS)
                return
            if outcome.reason == "worker_lost" and not self._stopped:  # we stopped the place that ran it
                await self.interrupt()
                return
            await self._finish(outcome)
        except LeaseLost:
            _log.warning("the lease of %s went to somebody else: its outcome is dropped", self.prediction_id)
        finally:
            self._drop_slot()
            if self._folder is not None:
                await self._workspace.remove(self._folder)

    async def break_off(self) -> None:
        """Something in us went wrong: end it, so that it can never stay where it is."""
        error = "An internal error of the server ended this prediction; the server's log has the details."
        await self._finish(Outcome(status="failed", error=error, reason="internal"))

    async def interrupt(self) -> None:
        """The server stops: give it back unrun, or, if output was shown already, end it with the reason."""
        if self._recorder.has_published_output:
            outcome = Outcome(
                status="failed", error="The server was stopped while this prediction ran.", reason="server_stopped"
            )
            await self._finish(outcome)
        else:
            await self._give_back()

    async def _outcome(self) -> Outcome | None:
        """How the run ended; None if it never began and may be tried again."""
        refused = await self._late_refusal()
        if refused is not None:
            return refused
        try:
            work = await self._work()
        except Busy as error:
            _log.warning("the files of %s cannot be brought now, it waits again: %s", self.prediction_id, error)
            return None
        except InputInvalid as error:
            faults = "; ".join(f"{fault.field}: {fault.description}" for fault in error.fields)
            return Outcome(status="failed", error=faults, reason="input_unusable")
        except HalleyError as error:
            return Outcome(status="failed", error=str(error), reason="input_unusable")
        if self.was_stopped():
            return Outcome(status="canceled")
        try:
            self._handle = await self._provider.submit(work)
        except HalleyError as error:
            _log.warning("%s could not begin and waits again: %s", self.prediction_id, error)
            return None
        self._slot_held = False  # from here on the provider frees it
        if self.was_stopped():  # a stop that came while it was submitted
            self._provider.cancel(self._handle)
        return await self._provider.follow(self._handle, self._recorder.emit)

    async def _late_refusal(self) -> Outcome | None:
        """Look at what the create could not look at, if it came before anybody knew the version's schema."""
        prediction, runnable = self.claimed.prediction, self._runnable
        if runnable is None or prediction.created_at > runnable.version.created_at:
            return None
        value = msgspec.json.decode(self.claimed.work_input)
        redacted = runnable.schema.redacted(value)
        shown = self.claimed.work_input if redacted is None else msgspec.json.encode(redacted)
        if shown != prediction.input:
            await self._patiently(lambda: self._queue.show_input(self.lease, shown))
            self._bus.publish(Changed(self.prediction_id))
        try:
            self._inputs.check(runnable, value)
        except InputInvalid as error:
            return Outcome(status="failed", error=str(error), reason="input_invalid")
        return None

    async def _work(self) -> Work:
        prediction, runnable = self.claimed.prediction, self._runnable
        work = Work(
            prediction_id=prediction.id,
            attempt=self.lease.attempt,
            version=prediction.version,
            model=prediction.model,
            input=self.claimed.work_input,
            context=self.claimed.context,
        )
        if runnable is None or not runnable.uses_files:
            return work
        folder = self._folder = self._recorder.folder = self._workspace.make(prediction.id, self.lease.attempt)
        document = runnable.version.openapi_schema
        if not self._stager.has_files(self.version, document):
            return msgspec.structs.replace(work, folder=folder)
        staged = await self._stager.stage(
            prediction_id=prediction.id,
            version=self.version,
            openapi_schema=document,
            account_id=prediction.account_id,
            work_input=work.input,
            folder=folder,
        )
        return msgspec.structs.replace(work, input=staged.input, paths=staged.paths, folder=folder)

    async def _finish(self, outcome: Outcome) -> None:
        events = await self._recorder.rest()
        fact, error, reason = self._verdict(outcome)
        finished = await self._patiently(
            lambda: self._queue.finish(
                self.lease,
                fact,
                self._clock.now(),
                events=events,
                error=error,
                reason=reason,
                predict_time=outcome.predict_time,
            )
        )
        if finished.applied:
            self._bus.publish(Changed(self.prediction_id))

    async def _give_back(self, backoff_seconds: float = 0.0) -> None:
        await self._patiently(
            lambda: self._queue.release(self.lease, self._clock.now(), backoff_seconds=backoff_seconds)
        )

    async def _patiently(self, write: Callable[[], Awaitable[T]]) -> T:
        """Giving up would leave the prediction where it is for ever."""
        return await patiently(write, self._clock, f"{self.prediction_id} cannot be settled yet")

    def _verdict(self, outcome: Outcome) -> tuple[Fact, str | None, str | None]:
        if self._timed_out:
            limit = timedelta(seconds=self._timeout)
            return Fact.FAILED, f"The run took longer than its limit of {limit} (run_timeout).", "run_timeout"
        if self._recorder.error is not None:
            return Fact.FAILED, self._recorder.error, "output_unusable"
        if outcome.status == "canceled":
            # nobody else ended it (finish would say so): the model stopped by itself
            error = outcome.error or "The model stopped as if it had been canceled."
            return Fact.FAILED, error, outcome.reason or "canceled_by_model"
        return _FACTS[outcome.status], outcome.error, outcome.reason

    def _drop_slot(self) -> None:
        if self._slot_held:
            self._slot_held = False
            self._provider.drop_slot(self.version)
