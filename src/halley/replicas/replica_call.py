"""One prediction inside a replica: passes progress from the reader's callback to its follower, without a task."""

import asyncio
from typing import Final

from halley.dispatch.ports import Emit, Outcome, Progress


class ReplicaCall:
    """Buffers progress until there is a follower. `end` is called at least once."""

    __slots__ = (
        "_backlog",
        "_emit",
        "_over",
        "attempt",
        "canceling",
        "grace",
        "has_output",
        "id",
        "must_go",
        "outcome",
        "said",
    )

    def __init__(self, prediction_id: str, attempt: int, loop: asyncio.AbstractEventLoop) -> None:
        self.id: Final = prediction_id
        self.attempt: Final = attempt
        self.canceling = False
        self.must_go = False  # its grace period has ended
        self.has_output = False  # some output was reported
        self.said = 0  # characters of log text
        self.grace: asyncio.Task[None] | None = None  # when it ends, force is used
        self.outcome: Outcome | None = None
        self._backlog: list[Progress] = []
        self._emit: Emit = self._backlog.append
        self._over: asyncio.Future[Outcome] = loop.create_future()

    def say(self, progress: Progress) -> None:
        """Pass progress on, or keep it until there is a follower."""
        self._emit(progress)

    def end(self, outcome: Outcome) -> None:
        """End the run. Later progress and a second end are ignored."""
        self.outcome = outcome
        if self.grace is not None:
            self.grace.cancel()
        if not self._over.done():  # a cancelled follower has cancelled the future
            self._over.set_result(outcome)

    async def follow(self, emit: Emit) -> Outcome:
        """Receive all progress from the beginning, in order; returns when the run has ended. For one follower."""
        for progress in self._backlog:
            emit(progress)
        self._backlog.clear()
        self._emit = emit
        try:
            return await self._over
        finally:
            self._emit = _drop  # the follower is gone; the process may still send


def _drop(_: Progress) -> None:
    pass
