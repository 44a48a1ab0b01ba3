"""One prediction inside a replica: passes progress from the reader's callback to its follower, without a task."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from halley.dispatch.ports import Emit, Outcome, Progress


class ReplicaCall:
    """Buffers progress until there is a follower. `end` is called at least once."""

    __slots__ = (
        "_backlog",
        "_ended",
        "attempt",
        "canceling",
        "grace",
        "has_output",
        "id",
        "must_go",
        "outcome",
        "said",
        "say",
    )

    def __init__(self, prediction_id: str, attempt: int) -> None:
        self.id: Final = prediction_id
        self.attempt: Final = attempt
        self.canceling = False
        self.must_go = False  # its grace period has ended
        self.has_output = False  # some output was reported
        self.said = 0  # characters of log text
        self.grace: asyncio.Task[None] | None = None  # when it ends, force is used
        self.outcome: Outcome | None = None
        self._backlog: list[Progress] = []
        self.say: Emit = self._backlog.append  # passes progress on, or keeps it until there is a follower
        self._ended: Callable[[Outcome], None] | None = None

    def end(self, outcome: Outcome) -> None:
        """End the run. Later progress and a second end are ignored."""
        if self.grace is not None:
            self.grace.cancel()
        if self.outcome is None:
            self.outcome = outcome
            self.say = _drop  # the process may still send
            if self._ended is not None:
                self._ended(outcome)

    def listen(self, emit: Emit, ended: Callable[[Outcome], None]) -> None:
        """Receive all progress from the beginning, in order, then the outcome. For one follower."""
        if self._backlog:
            for progress in self._backlog:
                emit(progress)
            self._backlog.clear()
        if self.outcome is not None:
            ended(self.outcome)
            return
        self.say, self._ended = emit, ended

    async def follow(self, emit: Emit) -> Outcome:
        """As `listen`; returns when the run has ended."""
        over: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.listen(emit, partial(_settle, over))
        try:
            return await over
        finally:
            self.say, self._ended = _drop, None  # the follower may have been cancelled


def _settle(over: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not over.done():  # a cancelled follower has cancelled it
        over.set_result(outcome)


def _drop(_: Progress) -> None:
    pass
