"""Stops a sync `predict` from outside: a signal whose handler raises, but only inside the model's own code.

The main thread runs predict. The control thread names the prediction to stop and sends a signal to the main
thread. The handler raises only while the door is open, that is while the model's code runs and not one of
our functions that it called; and only if the prediction named is the one that runs. So a late signal hits
neither the next prediction nor a frame half written.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional

from cog.scope import CancelationException

REMEMBERED = 256  # ids that ended, or were cancelled before they came; both are exceptions within milliseconds


_get_ident = threading.get_ident  # taken before a model can put something else in its place


class EarlyCancels:
    """Cancels that overtook their prediction: the two travel on different sockets."""

    def __init__(self) -> None:
        self._asked: Deque[str] = deque(maxlen=REMEMBERED)
        self._ended: Deque[str] = deque(maxlen=REMEMBERED)

    def note(self, prediction_id: str) -> None:
        """Keep a cancel for a prediction that does not run; forget it if that one has ended."""
        if prediction_id not in self._ended:
            self._asked.append(prediction_id)

    def take(self, prediction_id: str) -> bool:
        """Whether this prediction, which begins now, is already cancelled."""
        if prediction_id not in self._asked:
            return False
        self._asked.remove(prediction_id)
        return True

    def ended(self, prediction_id: str) -> None:
        """A cancel that comes from now on is late."""
        self._ended.append(prediction_id)


class Guard:
    """The door. All methods but `ask` belong to the main thread."""

    def __init__(self) -> None:
        self.open = False
        self.thread = _get_ident()
        self._running: Optional[str] = None
        self._wanted: Optional[str] = None
        self._delivered = False
        self._early = EarlyCancels()
        self._lock = threading.Lock()
        signal.signal(signal.SIGUSR1, self._on_signal)

    def ask(self, prediction_id: str) -> None:
        """Stop this prediction (control thread). Only the first call for one has an effect."""
        with self._lock:
            if self._running != prediction_id:
                self._early.note(prediction_id)
                return
            self._wanted = prediction_id
        signal.pthread_kill(self.thread, signal.SIGUSR1)

    def begin(self, prediction_id: str) -> None:
        """A prediction runs from now on."""
        with self._lock:
            self.open = False
            self._delivered = False
            self._running = prediction_id
            self._wanted = prediction_id if self._early.take(prediction_id) else None

    def end(self) -> None:
        """No prediction runs; a cancel that comes from now on is late."""
        with self._lock:
            self.open = False
            if self._running is not None:
                self._early.ended(self._running)
            self._running = None

    @property
    def asked(self) -> bool:
        """Whether the running prediction is to stop, delivered or not."""
        return self._running is not None and self._wanted == self._running

    @property
    def pending(self) -> bool:
        """Whether the exception has yet to be raised."""
        return self.asked and not self._delivered

    def deliver(self) -> CancelationException:
        """The exception to raise, which is thereby raised once and for all."""
        self._delivered = True
        return CancelationException("the prediction was canceled")

    def call(self, function: Callable[..., Any], arguments: Dict[str, Any]) -> Any:
        """Call the model's code with the door open.

        Raises:
            CancelationException: the prediction is to stop.
        """
        self.open = True
        try:
            if self.pending:
                raise self.deliver()
            return function(**arguments)
        finally:
            self.open = False

    def resume(self, generator: Any) -> Any:
        """Let a generator run to its next value; a pending cancel is raised inside it."""
        self.open = True
        try:
            if self.pending and hasattr(generator, "throw"):
                return generator.throw(self.deliver())
            return next(generator)
        finally:
            self.open = False

    def shielded(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call ours from the model's code: nothing is raised in it, but at once after it.

        Raises:
            CancelationException: the prediction is to stop.
        """
        if not self.open or _get_ident() != self.thread:
            function(*arguments)
            return
        self.open = False
        try:
            function(*arguments)
        finally:
            self.open = True
            if self.pending:
                raise self.deliver()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        if self.open and self.pending:
            raise self.deliver()
