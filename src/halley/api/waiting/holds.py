"""Requests that wait: each can be let go early, when its caller is gone or the server wants to stop."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from halley.api.http.asgi import Scope

T = TypeVar("T")
SCOPE_KEY: Final = "halley.hold"  # where the protocol finds the hold of a connection that was lost
GONE_KEY: Final = "halley.gone"  # what it leaves there, so that a running answer stops
MAY_READ: Final = "may read"  # what it leaves there if the client can still be told something
STREAM_KEY: Final = "halley.stream"  # what the protocol leaves there for answers that follow something to call


class Hold:
    """One waiting request."""

    __slots__ = ("_task", "is_released")

    def __init__(self, task: "asyncio.Task[object] | None") -> None:
        self._task = task
        self.is_released = False

    def release(self) -> None:
        """Let it go; harmless if it was let go before."""
        if not self.is_released and self._task is not None:
            self.is_released = True
            self._task.cancel()


class Holds:
    """All waiting requests of this server."""

    def __init__(self) -> None:
        self._holds: set[Hold] = set()

    def __len__(self) -> int:
        return len(self._holds)

    async def wait(self, scope: Scope, awaited: Awaitable[T]) -> T | None:
        """What is awaited, or None as soon as the hold is released. No task is made for it."""
        task = asyncio.current_task()
        hold = Hold(task)
        scope[SCOPE_KEY] = hold
        self._holds.add(hold)
        try:
            return await awaited
        except asyncio.CancelledError:
            if not hold.is_released or task is None:
                raise
            task.uncancel()  # it was our own doing: the request goes on and answers
            return None
        finally:
            self._holds.discard(hold)
            scope.pop(SCOPE_KEY, None)

    def release_all(self) -> None:
        """Let all go: the server is about to stop."""
        for hold in tuple(self._holds):
            hold.release()
