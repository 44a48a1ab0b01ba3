"""The runs that this process drives at the servers of one provider."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any, Final

from halley.clock import Clock
from halley.dispatch.ports import Outcome, Work
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.cog.exchange import CogExchange, ExchangeRules
from halley.providers.cog.report import RunReport
from halley.providers.cog.run import CogRun
from halley.providers.cog.server import CogServer
from halley.providers.services.dependencies import UpstreamDependencies
from halley.providers.services.outputs import LinkRules, OutputReader
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict

_log: Final = logging.getLogger(__name__)

UNFOLLOWED_SECONDS: Final = 300.0  # for a follower to come after the end
_CLOSED: Final = "The connection to its server was closed."


class CogRuns:
    """Runs by their handles, from the first request to the end of the following."""

    def __init__(
        self,
        dependencies: UpstreamDependencies,
        rules: ExchangeRules,
        clock: Clock,
        *,
        best: Callable[[], CogServer | None],
    ) -> None:
        """`best` is the server that would get the next run."""
        self._dependencies = dependencies
        self._rules = rules
        self._clock = clock
        self._best = best
        self._runs: dict[str, CogRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiries: dict[str, asyncio.TimerHandle] = {}  # of runs that are over and were never followed

    @property
    def all(self) -> Collection[CogRun]:
        return self._runs.values()

    def get(self, handle: str) -> CogRun | None:
        """The run of this handle, if this process drives it."""
        return self._runs.get(handle)

    def of_prediction(self, prediction_id: str) -> CogRun | None:
        """The run of this prediction, if this process drives it."""
        return next((run for run in self._runs.values() if run.prediction_id == prediction_id), None)

    def begin(self, work: Work, server: CogServer, run_id: str, content: bytes) -> CogRun:
        """Send it to the server; `content` is the body of the request."""
        run = self._made(work, server, run_id)
        self._start(run, self._exchange(run, content).drive())
        return run

    def join(self, work: Work, server: CogServer, run_id: str, content: bytes) -> CogRun:
        """Follow a run that the server runs already; `content` is sent if it is lost and may be sent again."""
        run = self._made(work, server, run_id)
        self._start(run, self._exchange(run, content).join())
        return run

    def forget(self, run: CogRun) -> None:
        """It is followed no more."""
        if self._runs.get(run.handle) is run:
            del self._runs[run.handle]
            if (expiry := self._expiries.pop(run.handle, None)) is not None:
                expiry.cancel()  # it would keep the run, with its output

    async def close(self) -> None:
        """Close their connections: newer servers cancel them."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _made(self, work: Work, server: CogServer, run_id: str) -> CogRun:
        host, port = server.origin.host
        links = LinkRules(
            host=host if port in (80, 443) else f"{host}:{port}",
            origin=server.origin.host,
            has_data_urls=True,
            passes=self._dependencies.passes(work.version),
        )
        reader = OutputReader(self._dependencies.document_of(work.version), links)
        report = RunReport(reader, server.journal.without_token, has_output=work.has_output)
        return CogRun(work, server, report, run_id=run_id)

    def _exchange(self, run: CogRun, content: bytes) -> CogExchange:
        return CogExchange(
            run, content, rules=self._rules, clock=self._clock, answered=self._dependencies.answered, best=self._best
        )

    def _start(self, run: CogRun, drive: Coroutine[Any, Any, None]) -> None:
        self._runs[run.handle] = run
        run.server.running += 1
        task = run.start(drive)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, run))

    def _ended(self, run: CogRun, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        run.server.running -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the run %s broke", run.handle, exc_info=error)
        run.settle(SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text=_CLOSED))
        run.end(Outcome(status="failed", error=_CLOSED, reason=UNKNOWN_REASON))
        if run.was_left:
            self.forget(run)
        elif not run.was_followed and self._runs.get(run.handle) is run:  # its follower may still come, or never
            loop = asyncio.get_running_loop()
            self._expiries[run.handle] = loop.call_later(UNFOLLOWED_SECONDS, self.forget, run)
