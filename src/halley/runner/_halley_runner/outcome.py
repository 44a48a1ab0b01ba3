"""Reports how a prediction ends, as the members of its `done` frame."""

from __future__ import annotations

import os
import time
from typing import Any, NoReturn, Optional

from .faults import one_line, user_traceback
from .files import BadOutput
from .frames import FrameTooLarge, to_json
from .inputs import BadInput
from .journal import Journal
from .leftovers import Leftovers
from .path_conflicts import PathConflicts
from .prediction import Prediction
from .values import encode

_exit, _clock = os._exit, time.perf_counter  # imported before a model can replace them


class ResultSender:
    """Sends what predictions produce and how they end; shared by the sync and the async server."""

    def __init__(
        self,
        journal: Journal,
        folder: str,
        *,
        returns_nothing: bool,
        leftovers: Optional[Leftovers] = None,
        path_conflicts: Optional[PathConflicts] = None,
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._returns_nothing = returns_nothing
        self._leftovers = leftovers
        self._path_conflicts = path_conflicts

    def output(self, prediction: Prediction, item: Any) -> None:
        """Send one item of an iterator.

        Raises:
            BadOutput: it cannot be sent.
        """
        value, paths = encode(item, prediction)
        prediction.items += 1
        try:
            self._journal.emit(prediction, "output", ',"value":%s,"paths":%s' % (value, paths))
        except FrameTooLarge as error:
            raise BadOutput("an output item is too large: %s; write it to a file" % error) from None

    def succeeded(
        self, prediction: Prediction, started: float, value: str = "null", paths: str = "[]", *, in_pieces: bool
    ) -> None:
        """End with success. `value` is the output, unless it was sent in pieces; no pieces at all give an empty
        list.
        """
        if in_pieces:
            has_value = prediction.items == 0
            value = "[]" if has_value else "null"
        else:
            has_value = not (self._returns_nothing and value == "null")
        rest = ',"status":"succeeded","error":null,"traceback":null,"has_value":%s,"value":%s,"paths":%s' % (
            "true" if has_value else "false",
            value,
            paths,
        )
        try:
            self._finish(prediction, started, rest)
        except FrameTooLarge as error:
            self._fail(prediction, started, "output is too large: %s; write it to a file" % error, None)

    def canceled(self, prediction: Prediction, started: float) -> None:
        """End as cancelled."""
        rest = ',"status":"canceled","error":null,"traceback":null,"has_value":false,"value":null,"paths":[]'
        self._finish(prediction, started, rest)

    def failed(self, prediction: Prediction, started: float, error: BaseException) -> None:
        """End as failed. The traceback also goes to the prediction's log."""
        if isinstance(error, (BadInput, BadOutput)):
            self._fail(prediction, started, str(error), None)
            return
        traceback_text = user_traceback(error)
        self._journal.log(traceback_text)
        self._fail(prediction, started, one_line(error, self._folder), traceback_text)

    def clean_up(self, prediction: Prediction) -> None:
        """Remove the files that it left behind, now that its end has been sent."""
        if self._leftovers is not None:
            self._leftovers.end(prediction, self._journal.running.values())

    def exited(self, prediction: Prediction, started: float, error: BaseException) -> None:
        """End as failed because the model called for an exit. The process serves other predictions, and continues."""
        code = getattr(error, "code", None)
        if self._journal.forked:  # a forked child of the model may exit
            self._exit_child(code)
        if isinstance(code, str):
            self._journal.log("%s\n" % code)  # as Python prints it
        self._fail(prediction, started, one_line(error, self._folder), user_traceback(error))

    def exited_in_background(self, error: BaseException) -> None:
        """Log that code which belongs to no prediction called for an exit."""
        if self._journal.forked:
            self._exit_child(getattr(error, "code", None))
        self._journal.log("%s in the background was ignored\n" % one_line(error, self._folder))

    def _exit_child(self, code: Any) -> NoReturn:
        self._journal.flush()
        _exit(code if isinstance(code, int) else int(code is not None))

    def _fail(self, prediction: Prediction, started: float, text: str, traceback_text: Optional[str]) -> None:
        rest = ',"status":"failed","error":%s,"traceback":%s,"has_value":false,"value":null,"paths":[]' % (
            to_json(text),
            to_json(traceback_text),
        )
        self._finish(prediction, started, rest)

    def _finish(self, prediction: Prediction, started: float, rest: str) -> None:
        if self._path_conflicts is not None and prediction.has_returned_files:
            for text in self._path_conflicts.check(prediction):
                self._journal.log(text)
                self._journal.log_replica(text)
        self._journal.finish(prediction, '%s,"predict_time":%.6f' % (rest, _clock() - started))
