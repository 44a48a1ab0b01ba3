"""One prediction inside a replica: passes its report from the reader of frames to a listener, without a task."""

import asyncio
from typing import Final, Protocol

import msgspec

from halley.dispatch.ports import Emit, Outcome, Progress, RunListener


class CallOwner(Protocol):
    """The replica that the prediction runs in."""

    def cancel(self, run: "ReplicaCall") -> None:
        """Ask it to stop; after the grace period end the process."""
        ...


class ReplicaCall(msgspec.Struct, eq=False):
    """Implements `dispatch.ports.BegunRun`. A struct, because one is made for each prediction."""

    id: str
    owner: CallOwner
    listener: RunListener
    canceling: bool = False
    must_go: bool = False  # its grace period has ended
    has_output: bool = False  # some output was reported
    said: int = 0  # characters of log text
    grace: asyncio.Task[None] | None = None  # when it ends, force is used

    def end(self, outcome: Outcome) -> None:
        """End the run. Later progress and a second end are ignored."""
        if self.grace is not None:
            self.grace.cancel()
        listener, self.listener = self.listener, DEAF
        listener.ended(outcome)

    def succeed(self, value: msgspec.Raw | None, predict_time: float | None) -> None:
        """End the run with success, and with this output."""
        if self.grace is not None:
            self.grace.cancel()
        listener, self.listener = self.listener, DEAF  # the process may still send
        listener.succeeded(value, predict_time)

    def cancel(self) -> None:
        self.owner.cancel(self)

    def listen(self, listener: RunListener) -> None:
        if self.listener is not DEAF:
            self.listener = listener


class CallFollower(RunListener):
    """Listens for one caller of `follow`; keeps progress until then."""

    def __init__(self) -> None:
        self._kept: list[Progress] = []
        self._emit: Emit = self._kept.append
        self._over: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def emit(self, progress: Progress) -> None:
        self._emit(progress)

    def ended(self, outcome: Outcome) -> None:
        if not self._over.done():  # a cancelled caller has cancelled it
            self._over.set_result(outcome)

    async def follow(self, emit: Emit) -> Outcome:
        """Pass on all progress from the beginning, in order; return when the run has ended."""
        for progress in self._kept:
            emit(progress)
        self._kept.clear()
        self._emit = emit
        try:
            return await self._over
        finally:
            self._emit = _drop  # the caller may have been cancelled


class _Deaf(RunListener):
    """Ignores everything: the run has ended for its listener."""

    def emit(self, progress: Progress) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        pass


DEAF: Final = _Deaf()


def _drop(_: Progress) -> None:
    pass
