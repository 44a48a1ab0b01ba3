"""A run without a task: it begins in the call that places it, and its end is written in the call that reports it.

Most runs take this way. Where something must be waited for, or an end is not plain, a task continues with `go`, which
can do all of it. Tests hold both ways to the same rows and events.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from halley.dispatch.execution import Execution
from halley.dispatch.ports import Outcome
from halley.errors import HalleyError
from halley.predictions.hints import Changed
from halley.predictions.queue import Finished
from halley.predictions.records import NewEvent
from halley.predictions.status import Fact

_log = logging.getLogger(__name__)


class ShortRun(Execution):
    """Call `begin` once: after that either `continue_with` is called, perhaps with the outcome, or `gone`, once."""

    _is_left = False
    _outcome_at_once: Outcome | None = None
    _last_events: Sequence[NewEvent] = ()

    def begin(
        self, *, continue_with: "Callable[[ShortRun, Outcome | None], None]", gone: "Callable[[ShortRun], None]"
    ) -> None:
        """Begin the run now, or in a task."""
        self._continue_with, self._gone = continue_with, gone
        if not self._begin_at_once():
            continue_with(self, None)

    def leave(self) -> None:
        """Its worker has ended: drop what the provider still reports."""
        self._is_left = True
        self._recorder.drop()

    def _begin_at_once(self) -> bool:
        claimed, runnable = self.claimed, self._runnable
        if self._submission is not None or self._stopped or claimed.alone or claimed.recorded is not None:
            return False
        if runnable is None or runnable.uses_files or claimed.prediction.created_at <= runnable.version.created_at:
            return False
        work = self._make_work(is_alone=False, uses_files=False)
        try:
            cancel = self._provider.begin_at_once(work, self._recorder.emit, self._ended)
        except Exception:  # noqa: BLE001 - `go` gets the same error, and handles it
            return False
        if cancel is None:
            return False
        self._slot_held = False  # the provider releases it
        self.has_begun = True
        self._cancel = cancel
        self._forget_large_input()
        self._recorder.start()
        return True

    def _ended(self, outcome: Outcome) -> None:
        if self._is_left:
            return
        self._outcome_at_once = outcome
        try:
            write = self._finish_at_once(outcome)
        except Exception as error:  # noqa: BLE001 - as above; and the reader of frames, who calls this, must continue
            self._write_again(error)
            return
        if write is None:
            self._continue_with(self, outcome)
        else:
            write.add_done_callback(self._written)

    def _finish_at_once(self, outcome: Outcome) -> "asyncio.Future[Finished] | None":
        """The write of a plain end; None if it is not plain."""
        if self._stopped or self._has_lost_lease or outcome.status != "succeeded":
            return None
        events = self._recorder.rest_at_once()
        if events is None:
            return None
        self._last_events = events
        write = self._parts.queue.finish(
            self.lease, Fact.SUCCEEDED, self._clock.now(), events=events, predict_time=outcome.predict_time
        )
        return write if isinstance(write, asyncio.Future) else asyncio.ensure_future(write)

    def _written(self, write: "asyncio.Future[Finished]") -> None:
        if self._is_left:
            return
        try:
            finished = write.result()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - of any kind
            self._write_again(error)
            return
        if finished.applied or self._last_events:  # if it had ended, its log text is stored
            self._parts.bus.publish(Changed(self.prediction_id))
        self._gone(self)

    def _write_again(self, error: BaseException) -> None:
        """`go` repeats the write, which is harmless; it waits for a busy store, and reports a lost lease."""
        if not isinstance(error, HalleyError):
            _log.warning("the end of %s is written again: %r", self.prediction_id, error)
        self._recorder.take_back(self._last_events)
        self._continue_with(self, self._outcome_at_once)
