"""Serves a sync predictor: the main thread reads a request, runs predict itself, and answers."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Callable

from cog.scope import CancelationException

from .frames import Frame, Inbox
from .guard import Guard
from .inputs import Inputs
from .journal import Journal
from .outcome import ResultSender
from .prediction import WORK, Prediction, current
from .values import encode


class SyncServer:
    """One prediction at a time, in the main thread, so that signals and thread-bound libraries work."""

    def __init__(
        self,
        *,
        handler: Callable[..., Any],
        inputs: Inputs,
        results: ResultSender,
        journal: Journal,
        guard: Guard,
        streams: bool,
    ) -> None:
        self._handler = handler
        self._inputs = inputs
        self._results = results
        self._journal = journal
        self._guard = guard
        self._streams = streams

    def serve(self, inbox: Inbox) -> None:
        """Work until the stream ends."""
        while True:
            frame = inbox.read()
            if frame is None:
                return
            if frame.get("t") in WORK:
                self._predict(frame)

    def _predict(self, frame: Frame) -> None:
        prediction = Prediction(frame, self._inputs.bounds)
        self._journal.begin(prediction)
        token = current.set(prediction)
        self._guard.begin(frame["id"])
        started = perf_counter()
        try:
            arguments = self._inputs.arguments(prediction, self._journal.log)
            if self._streams:
                self._run_in_pieces(prediction, arguments)
                value, paths = "null", "[]"
            else:
                value, paths = encode(self._guard.call(self._handler, arguments), prediction)
            if self._guard.requested:  # the model caught the exception, or the cancel came too late to raise it
                self._results.canceled(prediction, started)
            else:
                self._results.succeeded(prediction, started, value, paths, in_pieces=self._streams)
        except BaseException as error:  # after any exception the replica continues
            if self._guard.requested:
                self._log_other_error(error)
                self._results.canceled(prediction, started)
            elif isinstance(error, SystemExit):
                self._results.exited(prediction, started, error)
            else:
                self._results.failed(prediction, started, error)
        finally:
            self._guard.end()
            current.reset(token)
            self._results.clean_up(prediction)

    def _run_in_pieces(self, prediction: Prediction, arguments: Any) -> None:
        guard = self._guard
        items = iter(guard.call(self._handler, arguments))
        try:
            while True:
                try:
                    item = guard.resume(items)
                except StopIteration:
                    return
                if guard.requested and not guard.pending:
                    return  # the model continued after the exception; its output is dropped
                self._results.output(prediction, item)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _log_other_error(self, error: BaseException) -> None:
        if not isinstance(error, (CancelationException, GeneratorExit)):
            self._journal.log("while being canceled: %s: %s\n" % (type(error).__name__, error))
