"""Reports one run of a service until its end."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from halley.dispatch.ports import Emit, LogText, MetricValue, Outcome
from halley.errors import HalleyError
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.http_job.answers import JobSnapshot
from halley.providers.http_job.outputs import FinishedRun, JobOutputs
from halley.providers.http_job.progress import ProgressLines
from halley.providers.services.answers import plain
from halley.providers.services.batches import emit_all
from halley.providers.services.journal import Journal
from halley.providers.services.poller import Poller, Watch

LATE_POLLS: Final = 5  # for an output that comes after the end

_NO_REASON: Final = "The service gave no reason."
_NO_OUTPUT: Final = "The service says that the run has succeeded, and shows no output."
_CANCELED: Final = "The run was canceled at its service."  # shown only if it was not canceled here
GONE_REASON: Final = "upstream_output_gone"


class JobFollower:
    """Reports one run. The first end that the service shows counts; what it shows later is not read."""

    def __init__(
        self,
        handle: str,
        run: FinishedRun,
        emit: Emit,
        outputs: JobOutputs,
        *,
        poller: Poller,
        journal: Journal,
        has_logs: bool,
        is_canceled: Callable[[], bool],
    ) -> None:
        """`run` is completed with the output when the run has succeeded. Without `has_logs` the service has no logs,
        and lines that show the progress take their place. `is_canceled`: the service was asked to cancel the run.
        """
        self._handle = handle
        self._run = run
        self._emit = emit
        self._outputs = outputs
        self._poller = poller
        self._journal = journal
        self._reader = outputs.reader(run)
        self._is_canceled = is_canceled
        self._lines = None if has_logs else ProgressLines()
        self._log_chars = 0
        self._progress = 0.0
        self._word: str | None = None
        self._late = 0

    async def until_end(self, watch: Watch) -> Outcome:
        """Report until the run ends."""
        while True:
            result = await watch.next()
            if result.is_over or (result.is_gone and self._is_canceled()):  # some services delete what they cancel
                return Outcome(status="canceled")
            if result.unreadable:
                return Outcome(status="failed", error=result.unreadable, reason="upstream_output_unreadable")
            if self._poller.is_lost(watch, is_gone=result.is_gone):
                return self._lost()
            snapshot = result.run
            if not isinstance(snapshot, JobSnapshot):
                self._poller.poll_failed(watch)
                continue
            has_changed = await self._report(snapshot)
            if snapshot.state == "open" or self._waits_for_output(snapshot):
                self._poller.schedule_next(watch, has_changed=has_changed)
                continue
            return await self._ended(snapshot, watch)

    def _lost(self) -> Outcome:
        self._journal.note(f"It knows nothing of {self._handle}, which it had given out.")
        text = f"The service does not know the run {self._handle} any more."
        return Outcome(status="failed", error=text, reason=UNKNOWN_REASON)

    async def _report(self, snapshot: JobSnapshot) -> bool:
        """Report what is new; returns whether anything was."""
        if snapshot.unknown is not None and snapshot.unknown != self._word:
            self._journal.note(
                f"It shows the status {snapshot.unknown!r}, which its job file does not name; it is polled on."
            )
        has_changed = snapshot.unknown != self._word
        self._word = snapshot.unknown
        text = snapshot.logs[self._log_chars :]
        self._log_chars = max(self._log_chars, len(snapshot.logs))
        if self._lines is not None:
            text = self._lines.until(1.0 if snapshot.state == "succeeded" and self._progress else snapshot.progress)
        if text:
            self._emit(LogText(self._journal.without_token(text)))
        if snapshot.state != "succeeded" and not self._run.model.schema.has_file_output:
            has_changed |= await emit_all(self._reader.grown(snapshot.output), self._emit, is_large=snapshot.is_large)
        if snapshot.progress is not None and snapshot.progress > self._progress:
            self._progress = snapshot.progress
            has_changed = True
            if self._lines is None:
                self._emit(MetricValue(name="progress", value=round(snapshot.progress, 4)))
        return has_changed or bool(text)

    def _waits_for_output(self, snapshot: JobSnapshot) -> bool:
        is_late = snapshot.state == "succeeded" and self._outputs.is_missing(self._run.model, snapshot.output)
        self._late += is_late
        return is_late and self._late <= LATE_POLLS

    async def _ended(self, snapshot: JobSnapshot, watch: Watch) -> Outcome:
        for name, value in snapshot.metrics.items():
            text = plain(self._journal.without_token(value)) if isinstance(value, str) else value
            self._emit(MetricValue(name=name, value=text))
        if snapshot.state == "canceled":
            return Outcome(status="canceled", error=_CANCELED)
        if snapshot.state == "failed":
            return Outcome(status="failed", error=self._journal.for_callers(snapshot.error or _NO_REASON))
        if self._outputs.is_missing(self._run.model, snapshot.output):
            return Outcome(status="failed", error=_NO_OUTPUT, reason=GONE_REASON)
        return await self._with_output(snapshot, watch)

    async def _with_output(self, snapshot: JobSnapshot, watch: Watch) -> Outcome:
        """Fetch the output; a cancel ends that, too."""
        making = asyncio.ensure_future(self._made(snapshot))
        over = asyncio.ensure_future(watch.next())  # nothing is polled any more: only a cancel ends this
        try:
            await asyncio.wait((making, over), return_when=asyncio.FIRST_COMPLETED)
            return making.result() if making.done() else Outcome(status="canceled")
        finally:
            for task in (making, over):
                task.cancel()
            await asyncio.gather(making, over, return_exceptions=True)

    async def _made(self, snapshot: JobSnapshot) -> Outcome:
        run = msgspec.structs.replace(self._run, output=snapshot.output)
        try:
            parts = await self._outputs.parts(run, self._reader)
        except HalleyError as error:
            text = self._journal.for_callers(f"The output could not be fetched. {error}")
            self._journal.note(str(error))
            return Outcome(status="failed", error=text, reason=GONE_REASON)
        await emit_all(parts, self._emit, is_large=snapshot.is_large)
        return Outcome(status="succeeded")
