"""Cancels a sync `predict`: a signal whose handler raises an exception, but only inside the model's own code.

The main thread runs predict. The control thread names the prediction to stop and sends a signal to the main thread. The
handler raises only while raising is allowed, that is while the model's code runs and not a function of ours that it
called; and only if the named prediction is the running one. So a late signal interrupts neither the next prediction nor
a half-written frame.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional

from cog.scope import CancelationException

REMEMBERED = 256  # ids of predictions that have ended, or were cancelled early; both are needed for milliseconds only


_get_ident = threading.get_ident  # imported before a model can replace it


class EarlyCancels:
    """Cancels that arrived before their prediction: the two use different sockets."""

    def __init__(self) -> None:
        self._asked: Deque[str] = deque(maxlen=REMEMBERED)
        self._ended: Deque[str] = deque(maxlen=REMEMBERED)
        self.ended = self._ended.append
        """Note the end of this prediction: a cancel that comes later is ignored."""

    def note(self, prediction_id: str) -> None:
        """Keep a cancel for a prediction that does not run yet; ignore it if the prediction has ended."""
        if prediction_id not in self._ended:
            self._asked.append(prediction_id)

    def take(self, prediction_id: str) -> bool:
        """Whether this prediction, which begins now, has been cancelled already."""
        if prediction_id not in self._asked:
            return False
        self._asked.remove(prediction_id)
        return True


class Guard:
    """Decides when the exception may be raised. All methods but `ask` belong to the main thread."""

    def __init__(self) -> None:
        self.may_raise = False
        self.thread = _get_ident()
        self._running: Optional[str] = None
        self._wanted: Optional[str] = None
        self._delivered = False
        self._early = EarlyCancels()
        self._lock = threading.Lock()
        signal.signal(signal.SIGUSR1, self._on_signal)

    def request(self, prediction_id: str) -> None:
        """Stop this prediction (control thread). Only the first call for a prediction has an effect."""
        with self._lock:
            if self._running != prediction_id:
                self._early.note(prediction_id)
                return
            self._wanted = prediction_id
        signal.pthread_kill(self.thread, signal.SIGUSR1)

    def begin(self, prediction_id: str) -> None:
        """Note that a prediction runs from now on."""
        with self._lock:
            self.may_raise = False
            self._delivered = False
            self._running = prediction_id
            self._wanted = prediction_id if self._early.take(prediction_id) else None

    def end(self) -> None:
        """Note that no prediction runs; a cancel that comes later is ignored."""
        with self._lock:
            self.may_raise = False
            if self._running is not None:
                self._early.ended(self._running)
            self._running = None

    @property
    def requested(self) -> bool:
        """Whether the running prediction is to stop; the exception may have been raised already."""
        return self._running is not None and self._wanted == self._running

    @property
    def pending(self) -> bool:
        """Whether the exception must still be raised."""
        return self.requested and not self._delivered

    def deliver(self) -> CancelationException:
        """The exception to raise. It is raised once for a prediction."""
        self._delivered = True
        return CancelationException("the prediction was canceled")

    def call(self, function: Callable[..., Any], arguments: Dict[str, Any]) -> Any:
        """Call the model's code; the exception may be raised in it.

        Raises:
            CancelationException: the prediction is to stop.
        """
        self.may_raise = True
        try:
            if self.pending:
                raise self.deliver()
            return function(**arguments)
        finally:
            self.may_raise = False

    def resume(self, generator: Any) -> Any:
        """Run a generator to its next value; a pending cancel is raised inside it."""
        self.may_raise = True
        try:
            if self.pending and hasattr(generator, "throw"):
                return generator.throw(self.deliver())
            return next(generator)
        finally:
            self.may_raise = False

    def shielded(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function of ours from the model's code: the exception is not raised in it, but directly after it.

        Raises:
            CancelationException: the prediction is to stop.
        """
        if not self.may_raise or _get_ident() != self.thread:
            function(*arguments)
            return
        self.may_raise = False
        try:
            function(*arguments)
        finally:
            self.may_raise = True
            if self.pending:
                raise self.deliver()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        if self.may_raise and self.pending:
            raise self.deliver()
