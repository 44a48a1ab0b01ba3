"""Fan-out to waiting readers.

A waiter is an entry in a dict (a callback), never a task. A reader registers first and reads the store afterwards, so
that a change between the two wakes it. Wake-ups are hints: readers look at the store and may be woken for nothing.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from halley.predictions.ports import Changed, Hint


class Hub:
    """Callbacks by prediction id. Lives in the loop's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def receive(self, hint: Hint) -> None:
        """Wake the readers of a changed prediction. Other hints are not for readers."""
        if type(hint) is Changed:
            callbacks = self._waiting.get(hint.prediction_id)
            if callbacks:
                for wake in tuple(callbacks):
                    wake()

    @contextmanager
    def listening(self, prediction_id: str, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` on every change while the block runs. `wake` must be quick and must not raise."""
        callbacks = self._waiting.setdefault(prediction_id, set())
        callbacks.add(wake)
        try:
            yield
        finally:
            callbacks.discard(wake)
            if not callbacks:
                self._waiting.pop(prediction_id, None)

    @contextmanager
    def watch(self, prediction_id: str) -> Iterator["Watch"]:
        """A `Watch` that is woken on every change while the block runs."""
        watch = Watch()
        with self.listening(prediction_id, watch.wake):
            yield watch


class Watch:
    """One reader that waits for the next change, at most so long."""

    __slots__ = ("_future", "_woken")

    def __init__(self) -> None:
        self._woken = False
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        self._woken = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> bool:
        """True as soon as something changed since the last call; False if nothing did for so many seconds."""
        if not self._woken and seconds > 0:
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            timer = loop.call_later(seconds, self._end)
            try:
                await self._future
            finally:
                timer.cancel()
                self._future = None
        woken, self._woken = self._woken, False
        return woken

    def _end(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
