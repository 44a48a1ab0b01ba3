"""Serves an async predictor: an event loop in the main thread, one task for each prediction.

All requests of one read begin together, and all answers of one loop cycle are sent in one write. The end of the only
prediction that runs is sent at once: nothing else could join it.
"""

from __future__ import annotations

import asyncio
from threading import get_ident
from time import perf_counter
from typing import Any, Callable, Dict, Optional

from .frames import Frame, Inbox
from .guard import EarlyCancels
from .inputs import Inputs
from .journal import Journal
from .outcome import ResultSender
from .prediction import WORK, Prediction, current
from .values import encode


class AsyncServer:
    """Runs as many predictions as the parent sends; the parent counts the slots."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        handler: Callable[..., Any],
        inputs: Inputs,
        results: ResultSender,
        journal: Journal,
        streams: bool,
    ) -> None:
        self._loop = loop
        self._thread = get_ident()
        self._handler = handler
        self._inputs = inputs
        self._results = results
        self._journal = journal
        self._streams = streams
        self._running: Dict[str, Prediction] = {}
        self._early = EarlyCancels()
        self._send_is_planned = False
        self._ends_alone = False  # the end that is being written need not wait for others
        self._is_reading = True

    def serve(self, inbox: Inbox, descriptor: int) -> None:
        """Work until the stream ends and the running predictions have finished."""
        self._journal.defer = self._defer
        self._loop.add_reader(descriptor, self._read, inbox, descriptor)
        while self._is_reading or self._running:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:  # raised by a task or callback that the model made itself
                self._fail_owner(error)

    def cancel(self, prediction_id: str) -> None:
        """Stop this prediction (control thread)."""
        self._loop.call_soon_threadsafe(self._cancel, prediction_id)

    def _defer(self) -> bool:
        if self._ends_alone or get_ident() != self._thread:
            return False
        if not self._send_is_planned:
            self._send_is_planned = True
            self._loop.call_soon(self._send)
        return True

    def _send(self) -> None:
        self._send_is_planned = False
        self._journal.send()

    def _read(self, inbox: Inbox, descriptor: int) -> None:
        frames = inbox.read_ready()
        if frames is None:
            self._is_reading = False
            self._loop.remove_reader(descriptor)
            self._stop_when_done()
            return
        for frame in frames:
            if frame.get("t") in WORK:
                self._begin(frame)

    def _begin(self, frame: Frame) -> None:
        prediction = Prediction(frame, self._inputs.bounds)
        prediction.canceled = self._early.take(frame["id"])
        self._journal.begin(prediction)
        self._running[frame["id"]] = prediction
        prediction.task = self._loop.create_task(self._predict(prediction, frame))

    def _cancel(self, prediction_id: str) -> None:
        prediction = self._running.get(prediction_id)
        if prediction is None:
            self._early.note(prediction_id)
        elif not prediction.canceled:
            prediction.canceled = True
            # asyncio never runs a task that is cancelled before its first step, so it cannot report its end
            if prediction.has_begun:
                prediction.task.cancel()

    async def _predict(self, prediction: Prediction, frame: Frame) -> None:
        prediction.has_begun = True
        current.set(prediction)
        started = perf_counter()
        try:
            arguments = self._inputs.arguments(prediction, self._journal.log)
            value, paths = "null", "[]"
            if not prediction.canceled:  # before its first step
                result = self._handler(**arguments)
                if hasattr(result, "__await__"):
                    result = await result
                if self._streams:
                    await self._send_items(prediction, result)
                else:
                    value, paths = encode(result, prediction)
            if prediction.canceled:  # the model caught the exception and returned
                self._results.canceled(prediction, started)
            else:
                self._ends_alone = len(self._running) == 1
                self._results.succeeded(prediction, started, value, paths, in_pieces=self._streams)
        except BaseException as error:  # after any exception the replica continues
            left = prediction.left or (error if isinstance(error, SystemExit) else None)
            if prediction.canceled:
                self._log_other_error(error)
                self._results.canceled(prediction, started)
            elif left is not None:
                self._results.exited(prediction, started, left)
            else:
                self._results.failed(prediction, started, error)
        finally:
            self._ends_alone = False
            prediction.task = None  # breaks a reference cycle
            self._running.pop(frame["id"], None)
            self._early.ended(frame["id"])
            self._results.clean_up(prediction)
            if not self._is_reading:
                self._stop_when_done()

    def _fail_owner(self, error: BaseException) -> None:
        """Asyncio ends the loop on these two exceptions in any task; they must end one prediction only."""
        owner = _owner(error)
        if owner is None or owner.ended or owner.task is None:
            self._results.exited_in_background(error)
            return
        owner.left = error
        owner.task.cancel()

    async def _send_items(self, prediction: Prediction, result: Any) -> None:
        if hasattr(result, "__aiter__"):
            await self._run_in_pieces(prediction, result)
        else:
            for item in result:
                self._results.output(prediction, item)

    async def _run_in_pieces(self, prediction: Prediction, items: Any) -> None:
        try:
            async for item in items:
                if prediction.canceled:
                    return  # the model continued after the cancel; its output is dropped
                self._results.output(prediction, item)
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    def _log_other_error(self, error: BaseException) -> None:
        if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._journal.log("while being canceled: %s: %s\n" % (type(error).__name__, error))

    def _stop_when_done(self) -> None:
        if not self._running:
            self._journal.send()
            self._loop.stop()


def _owner(error: BaseException) -> Optional[Prediction]:
    """The prediction in whose context the loop ran the code that raised this, if the loop is asyncio's own."""
    step = error.__traceback__
    while step is not None:
        handle = step.tb_frame.f_locals.get("self")
        if isinstance(handle, asyncio.Handle):
            context = getattr(handle, "_context", None)
            return None if context is None else context.get(current)
        step = step.tb_next
    return None
