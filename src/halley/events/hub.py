"""Fan-out to waiting readers.

A waiter is an entry in a dict (a callback), never a task. A reader registers first and reads the store afterwards, so
that a change between the two wakes it. Wake-ups are hints: readers look at the store and may be woken for nothing.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Self

from halley.predictions.ports import Changed, Hint


class Hub:
    """Callbacks by prediction id. Lives in the loop's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def has_readers(self) -> bool:
        return bool(self._waiting)

    def receive(self, hint: Hint) -> None:
        """Wake the readers of a changed prediction. Other hints do not concern readers."""
        if type(hint) is Changed:
            callbacks = self._waiting.get(hint.prediction_id)
            if callbacks:
                for wake in tuple(callbacks):
                    wake()

    def look(self, changed: Collection[str]) -> None:
        """Wake the readers of predictions that a poll found changed."""
        for prediction_id in changed:
            if prediction_id in self._waiting:
                self.receive(Changed(prediction_id))

    def watch(self, prediction_id: str) -> "Watch":
        """A `Watch` that is woken on every change while its block runs."""
        return Watch(self, prediction_id)

    def listen(self, prediction_id: str, wake: Callable[[], None]) -> None:
        """Call this on every change from now on."""
        self._waiting.setdefault(prediction_id, set()).add(wake)

    def unlisten(self, prediction_id: str, wake: Callable[[], None]) -> None:
        """Stop calling it; harmless if it was not registered."""
        callbacks = self._waiting.get(prediction_id)
        if callbacks is not None:
            callbacks.discard(wake)
            if not callbacks:
                del self._waiting[prediction_id]


class Watch:
    """One reader that waits for the next change, at most so long. Use it as a context manager."""

    __slots__ = ("_future", "_hub", "_woken", "prediction_id")

    def __init__(self, hub: Hub, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        self._hub = hub
        self._woken = False
        self._future: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._hub.listen(self.prediction_id, self.wake)
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.unlisten(self.prediction_id, self.wake)

    def wake(self) -> None:
        """Something changed."""
        self._woken = True
        self._end()

    async def wait(self, seconds: float) -> bool:
        """True as soon as something changed since the last call; False if nothing changed for so many seconds."""
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
