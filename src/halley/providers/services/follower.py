"""Reports one run of a service until its end."""

from collections.abc import Callable
from typing import Final

from halley.dispatch.ports import Emit, LogText, MetricValue, Outcome
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.services.answers import error_of_run
from halley.providers.services.batches import emit_all
from halley.providers.services.journal import Journal
from halley.providers.services.outputs import OutputReader
from halley.providers.services.poller import PolledState, Poller, Watch
from halley.providers.services.run_snapshot import RunSnapshot

LATE_POLLS: Final = 3  # for an output that comes after `succeeded`

_NO_REASON: Final = "The service gave no reason."
_CANCELED: Final = "The run was canceled at its service."  # shown only if it was not canceled here
_REMOVED: Final = "The service had removed the output before it was copied."


class RunFollower:
    """Reports one run. The first end that the service shows counts; what it shows later is not read."""

    def __init__(
        self,
        handle: str,
        emit: Emit,
        reader: OutputReader,
        *,
        poller: Poller,
        journal: Journal,
        on_stream: Callable[[str], None],
    ) -> None:
        """`on_stream` is called with the URL of the run's event stream, each time that one is shown."""
        self._on_stream = on_stream
        self._handle = handle
        self._emit = emit
        self._reader = reader
        self._poller = poller
        self._journal = journal
        self._log_chars = 0
        self._late = 0
        self._word: str | None = None

    async def until_end(self, watch: Watch, first: RunSnapshot | None = None) -> Outcome:
        """Report until the run ends. `first`: its state in the answer to the create; if that is an end, the run is not
        polled.
        """
        if first is not None and first.state != "open" and not first.is_late:
            await self._report(first)
            return await self._ended(first)
        while True:
            result = await watch.next()
            if result.is_over:
                return Outcome(status="canceled")
            outcome = await self._read(result, watch)
            if outcome is not None:
                return outcome

    async def _read(self, result: PolledState, watch: Watch) -> Outcome | None:
        if result.unreadable:
            return Outcome(status="failed", error=result.unreadable, reason="upstream_output_unreadable")
        if self._poller.is_lost(watch, is_gone=result.is_gone):
            return self._lost()
        if result.run is None:
            self._poller.poll_failed(watch)
            return None
        run = result.run
        if run.unknown is not None and run.unknown != self._word:
            self._journal.note(f"It shows the status {run.unknown!r} of {self._handle}, which does not exist.")
        self._word = run.unknown
        has_changed = await self._report(run)
        if run.state != "open":
            watch.relies_on_hints = _never  # no webhook will come
        if run.state == "open" and run.stream is not None:
            self._on_stream(run.stream)
        if run.state == "open" or self._waits_for_output(run):
            self._poller.schedule_next(watch, has_changed=has_changed)
            return None
        return await self._ended(run)

    def _lost(self) -> Outcome:
        self._journal.note(f"It knows nothing of {self._handle}, which it had given out.")
        text = f"The service does not know the prediction {self._handle} any more."
        return Outcome(status="failed", error=text, reason=UNKNOWN_REASON)

    async def _report(self, run: RunSnapshot) -> bool:
        """Report what is new; returns whether anything was."""
        has_changed = False
        if len(run.logs) > self._log_chars:
            self._emit(LogText(self._journal.without_token(run.logs[self._log_chars :])))
            self._log_chars = len(run.logs)
            has_changed = True
        if run.state != "succeeded":
            has_changed |= await emit_all(self._reader.grown(run.output), self._emit, is_large=run.is_large)
        return has_changed

    def _waits_for_output(self, run: RunSnapshot) -> bool:
        self._late += run.is_late
        return run.is_late and self._late <= LATE_POLLS

    async def _ended(self, run: RunSnapshot) -> Outcome:
        if run.state == "canceled":
            return Outcome(status="canceled", error=_CANCELED, predict_time=run.predict_time)
        if run.state == "succeeded" and run.output is None and run.is_removed:
            return Outcome(status="failed", error=_REMOVED, reason="upstream_output_gone")
        if run.state == "succeeded":
            await emit_all(self._reader.final(run.output), self._emit, is_large=run.is_large)
        for name, value in run.metrics.items():
            self._emit(MetricValue(name=name, value=value))
        if run.state == "failed":
            error = error_of_run(run.error or _NO_REASON, self._journal.without_address)
            return Outcome(status="failed", error=error, predict_time=run.predict_time)
        return Outcome(status="succeeded", predict_time=run.predict_time)


def _never() -> bool:
    return False
