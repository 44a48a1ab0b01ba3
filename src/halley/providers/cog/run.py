"""One run at a Cog server that this process drives: what was reported of it so far, and how it ended."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from halley.dispatch.ports import Emit, Outcome, Progress, Work
from halley.providers.cog.report import RunReport
from halley.providers.cog.reported_progress import ReportedProgress
from halley.providers.cog.server import CogServer
from halley.providers.services.batches import with_yields
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict


class CogRun:
    """One run. Its task ends with its connection. A follower may start at any time, and gets all progress."""

    def __init__(self, work: Work, server: CogServer, report: RunReport, *, run_id: str) -> None:
        """`run_id` is its id at the server: the id of the prediction, so that it can be found without a handle."""
        self.id = run_id
        self.prediction_id = work.prediction_id
        self.handle = server.handle_of(run_id)
        self.version = work.version
        self.has_slot = work.has_slot
        self.server = server
        self.report = report
        self.is_canceled = False
        self.was_followed = False
        self.was_left = False  # its follower was cancelled before the end
        self._begun: asyncio.Future[SubmitAnswer] = asyncio.get_running_loop().create_future()
        self._reported = ReportedProgress()
        self._outcome: Outcome | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def move(self, server: CogServer) -> None:
        """It is sent to another server. Its handle stays: another process would look for it at the first one."""
        self.server.running -= 1
        self.server = server
        server.running += 1

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Drive it in a task of its own."""
        self._task = asyncio.ensure_future(work)
        return self._task

    @property
    def is_begun(self) -> bool:
        """Whether it is known if the run began."""
        return self._begun.done()

    @property
    def is_over(self) -> bool:
        return self._outcome is not None

    async def begun(self) -> SubmitAnswer:
        """Wait until it is known if the server has begun the run."""
        return await asyncio.shield(self._begun)

    def begin(self) -> None:
        """The server has begun it."""
        self.settle(SubmitAnswer(verdict=SubmitVerdict.SUBMITTED, handle=self.handle))

    def settle(self, answer: SubmitAnswer) -> None:
        """Record whether the server has begun it; the first call counts."""
        if not self._begun.done():
            self._begun.set_result(answer)

    def report_progress(self, part: Progress) -> None:
        """Report progress."""
        self._reported.add(part)
        self._changed.set()

    def end(self, outcome: Outcome) -> None:
        """Record its end; the first call counts."""
        if self._outcome is None:
            self._outcome = outcome
        self._changed.set()

    async def follow(self, emit: Emit) -> Outcome:
        """Report everything to a follower until the end."""
        new = self._reported.reader()
        while True:
            self._changed.clear()
            async for part in with_yields(new()):
                emit(part)
            if self._outcome is not None:
                return self._outcome
            await self._changed.wait()

    # services.cancels.CancelableRun

    def hasten(self) -> None:
        """The connection shows the end by itself."""

    def give_up(self) -> None:
        """End it here. A newer Cog server cancels a run whose connection closes."""
        self.end(Outcome(status="canceled"))
        if self._task is not None:
            self._task.cancel()
