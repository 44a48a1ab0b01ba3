"""Drives one run at a Cog server: sends it, reports its progress, and finds out how it ended.

A Cog server forgets a run when it is over: the outcome is only in the answer to the request that began the run. So this
connection stays open until the end. Without an event stream, progress is polled with `CogServer.query_state`, if the
version of the server allows it.
"""

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Final

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import Outcome, Progress
from halley.dispatch.upstreams import Answered
from halley.egress import OpenAnswer
from halley.egress.errors import AddressRefused, FetchFailed, NotSent, TooLarge
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.cog.report import broken_by, end_in, is_known, is_unsent, with_time
from halley.providers.cog.run import CogRun
from halley.providers.cog.server import ANSWER_LIMIT_BYTES, STATE_QUERY, CogServer, Unreachable
from halley.providers.cog.sse import read_events
from halley.providers.services.answers import is_large
from halley.providers.services.api import Answer
from halley.providers.services.batches import emit_all
from halley.providers.services.run_snapshot import RunSnapshot, read_run
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict

STREAM_SILENCE_SECONDS: Final = 60.0  # a stream has a comment every 15 s
HELD_SILENCE_SECONDS: Final = 7 * 86_400.0  # an answer without a stream comes at the end of the run
LOST: Final = "It is not known how it ended: its server gives the end only on the connection that began it."
LAG_SECONDS: Final = 600.0  # a server that dropped events is used without streams, so that its ends are known
UNANSWERED_SECONDS: Final = 0.25  # an older server that has refused nothing by then has begun
FIRST_POLL_SECONDS: Final = 0.03
POLL_SECONDS: Final = 0.5
LONGEST_POLL_SECONDS: Final = 3.0
LOST_SECONDS: Final = 60.0  # a server that cannot be asked for so long has lost its runs
BUSY_SECONDS: Final = 0.5
LONGEST_BUSY_SECONDS: Final = 10.0
MOST_SENDS: Final = 60
_OWN_WORDS: Final = frozenset({"error", "detail"})  # members of refusals, of older and newer versions


class ExchangeRules(msgspec.Struct, frozen=True, kw_only=True):
    """`rerun_lost`: a run whose outcome was lost is sent again under the same id."""

    rerun_lost: bool = False
    poll_seconds: float = POLL_SECONDS
    unanswered_seconds: float = UNANSWERED_SECONDS


class _Unfinished(Enum):
    """A request that brought no outcome. JOINED: the run continues, without this connection. LOST: nothing will show
    how it ends.
    """

    JOINED = auto()
    LOST = auto()


_Result = RunSnapshot | SubmitAnswer | _Unfinished


class CogExchange:
    """The requests of one run."""

    def __init__(
        self,
        run: CogRun,
        content: bytes,
        *,
        rules: ExchangeRules,
        clock: Clock,
        answered: Answered,
        best: Callable[[], CogServer | None],
    ) -> None:
        """`content` is the body of the request that begins it; `best` is the server that would get the next run."""
        self._run = run
        self._best = best
        self._content = content
        self._rules = rules
        self._clock = clock
        self._answered = answered
        self._opened = asyncio.Event()  # an event stream has begun
        self._was_joined = False
        self._lagged = False  # events of this run were dropped, and would be dropped again

    @property
    def _server(self) -> CogServer:
        return self._run.server

    async def drive(self) -> None:
        """Send the run, and report it until its end."""
        await self._until_end(await self._sent(self._content, has_stream=self._has_stream))

    async def join(self) -> None:
        """Report a run that the server runs already, until its end."""
        self._run.begin()
        await self._until_end(_Unfinished.JOINED)

    async def _until_end(self, result: _Result) -> None:
        pause, next_at = BUSY_SECONDS, 0.0
        for _ in range(MOST_SENDS):
            while result is _Unfinished.JOINED:
                await self._clock.sleep(
                    max(next_at - self._clock.monotonic(), 0.0)
                )  # each connection may break at once
                next_at = self._clock.monotonic() + self._rules.poll_seconds
                result = await self._joined()
            if isinstance(result, RunSnapshot) and self._is_canceled_by_loss(result):
                result = _Unfinished.LOST
            if isinstance(result, RunSnapshot):
                await self._ended(result)
                return
            if not self._is_sent_again(result):
                return
            await self._clock.sleep(pause)
            pause = min(pause * 1.5, LONGEST_BUSY_SECONDS)
            if not self._server.health.serves and (other := self._best()) is not None:
                self._run.move(other)
            result = await self._sent(self._content, has_stream=self._has_stream)
        self._lost("It was sent too often.")

    def _is_canceled_by_loss(self, snapshot: RunSnapshot) -> bool:
        """Whether the server canceled the run because its first connection had closed, without a cancel."""
        return self._was_joined and snapshot.state == "canceled" and not self._run.is_canceled

    def _is_sent_again(self, result: "SubmitAnswer | _Unfinished") -> bool:
        """Whether to send the run again; if not, this method settles its outcome."""
        run, text = self._run, result.text if isinstance(result, SubmitAnswer) else LOST
        verdict = result.verdict if isinstance(result, SubmitAnswer) else SubmitVerdict.UNKNOWN
        if verdict is SubmitVerdict.UNKNOWN and (not self._may_rerun or run.is_canceled):
            self._lost(text)
            return False
        if verdict is SubmitVerdict.UNKNOWN:
            return True
        if not run.is_begun:
            run.settle(SubmitAnswer(verdict=verdict, text=text))
            return False
        if verdict is SubmitVerdict.BUSY and not run.is_canceled:
            return True  # an older server that had not answered in time refuses it now: nothing was begun
        run.end(Outcome(status="canceled") if run.is_canceled else Outcome(status="failed", error=text))
        return False

    @property
    def _may_rerun(self) -> bool:
        """False after output was shown: a second run may give another output."""
        return self._rules.rerun_lost and not self._run.report.has_output

    def _lost(self, text: str) -> None:
        text = self._server.journal.for_callers(text)
        self._run.settle(SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text=text))
        canceled = Outcome(status="canceled")
        self._run.end(
            canceled if self._run.is_canceled else Outcome(status="failed", error=text, reason=UNKNOWN_REASON)
        )

    async def _ended(self, snapshot: RunSnapshot) -> None:
        self._run.begin()
        await self._report(self._run.report.of_state(snapshot), is_large=snapshot.is_large)
        self._run.end(self._run.report.outcome(snapshot))

    async def _report(self, parts: Iterator[Progress], *, is_large: bool) -> None:
        """A cancel takes effect after all parts are reported: the reader of the output has counted those being made."""
        reporting = emit_all(parts, self._run.report_progress, is_large=is_large)
        if not is_large:  # it never waits
            await reporting
            return
        task = asyncio.ensure_future(reporting)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _sent(self, content: bytes, *, has_stream: bool) -> _Result:
        """Send the run once, and report its progress until the answer arrives."""
        if content is not STATE_QUERY:
            self._lagged = False  # another run begins
        answer = asyncio.ensure_future(self._answer(content, has_stream=has_stream))
        polling = asyncio.ensure_future(self._report_until_gone(has_stream=has_stream))
        try:
            await asyncio.wait({answer, polling}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await polling
                return _Unfinished.LOST
            result = await answer
            if isinstance(result, SubmitAnswer) and self._server.health.is_coglet and self._server.checked_at is None:
                await self._server.check()  # its process may have gone, and nothing else asks for that now
            return result
        finally:
            for task in (answer, polling):
                task.cancel()
            await asyncio.gather(answer, polling, return_exceptions=True)

    async def _answer(self, content: bytes, *, has_stream: bool) -> _Result:
        server = self._server
        silence = STREAM_SILENCE_SECONDS if has_stream else HELD_SILENCE_SECONDS
        try:
            async with server.put(self._run.id, content, is_stream=has_stream, silence_seconds=silence) as opened:
                self._answered(True)
                if opened.headers.get("content-type", "").startswith("text/event-stream") and opened.status == 200:
                    self._opened.set()
                    self._run.report.restart()
                    return self._checked(await self._streamed(opened))
                return self._read(await server.read(await opened.whole(ANSWER_LIMIT_BYTES)))
        except (NotSent, AddressRefused) as error:
            server.mark_unreachable(str(error))
            return SubmitAnswer(verdict=SubmitVerdict.BUSY, text=str(error))
        except TooLarge as error:
            return RunSnapshot(state="failed", error=str(error))
        except FetchFailed as error:
            server.journal.note(str(error))
            return await self._after_cut(str(error))

    async def _streamed(self, opened: OpenAnswer) -> RunSnapshot:
        async for event in read_events(opened.chunks, ANSWER_LIMIT_BYTES):
            if (end := end_in(event, self._run.id)) is not None:
                return end
            if event.name == "error":
                self._lagged, self._server.lagged_at = True, self._clock.monotonic()
                raise FetchFailed(broken_by(event))
            if not is_known(event):
                continue
            if event.name != "start":
                self._run.begin()
            if event.name == "output" and self._run.is_canceled:
                continue  # it is not recorded, and may be without end
            await self._report(self._run.report.of_event(event), is_large=event.is_large)
        raise FetchFailed("The event stream ended before the run.")

    @property
    def _has_stream(self) -> bool:
        """Whether the next request asks for an event stream, unless it joins a run."""
        lagged_at = self._server.lagged_at
        has_lagged = lagged_at is not None and self._clock.monotonic() - lagged_at < LAG_SECONDS
        return self._server.abilities.has_stream and not has_lagged

    def _checked(self, snapshot: RunSnapshot) -> "RunSnapshot | SubmitAnswer":
        """The end of the run; or BUSY, if the server failed to hand the run to the model's process, so none began."""
        if not self._server.health.is_coglet or not is_unsent(snapshot):
            return snapshot
        self._server.refused_at = self._clock.monotonic()
        self._server.checked_at = None
        return SubmitAnswer(verdict=SubmitVerdict.BUSY, text=snapshot.error or "")

    def _read(self, answer: Answer) -> _Result:
        """The outcome, or the verdict, in a complete answer."""
        snapshot, text = read_run(answer.body, self._run.id, is_large=is_large(answer.response)), answer.fault
        if answer.status == 200 and snapshot is not None and snapshot.state != "open":
            return self._checked(with_time(snapshot, answer.body))
        if answer.status == 202 and snapshot is not None:
            return _Unfinished.JOINED
        if answer.status == 500 and answer.body is not None and "detail" in answer.body:
            return RunSnapshot(
                state="failed", error=str(answer.body["detail"])
            )  # older versions report an invalid output like this
        if answer.status == 406 and self._server.abilities.has_stream:  # although its OpenAPI document names streams
            self._server.abilities = msgspec.structs.replace(self._server.abilities, has_stream=False)
            return SubmitAnswer(verdict=SubmitVerdict.BUSY, text=text)
        # a gateway that lost the answer of the server also sends 503, with other members
        if answer.status == 409 or (answer.status == 503 and not _OWN_WORDS.isdisjoint(answer.body or ())):
            self._server.refused_at = self._clock.monotonic()
            return SubmitAnswer(verdict=SubmitVerdict.BUSY, text=text, status=answer.status)
        if answer.status != 422:  # an input that the schema refuses is no fault of the server
            self._server.journal.note(text)
        is_refused = 400 <= answer.status < 500 and answer.status != 408
        verdict = SubmitVerdict.REFUSED if is_refused else SubmitVerdict.UNKNOWN
        return SubmitAnswer(verdict=verdict, text=text, status=answer.status)

    async def _after_cut(self, text: str) -> _Result:
        """The connection broke: the run may continue without it."""
        unknown = SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text=text)
        if not self._server.abilities.can_query_state:
            return unknown
        try:
            return unknown if await self._server.query_state(self._run.id) is None else _Unfinished.JOINED
        except Unreachable:
            return unknown

    async def _joined(self) -> _Result:
        """The run continues without its first connection: find its end by another request, if the server allows one."""
        server, self._was_joined = self._server, True
        self._run.begin()
        if server.abilities.has_stream and not self._lagged:  # only a stream shows its end now
            found = await self._sent(STATE_QUERY, has_stream=True)  # joins it, or is refused
            return _Unfinished.LOST if isinstance(found, SubmitAnswer) else found
        if not server.abilities.can_query_state:
            if not self._may_rerun:
                return _Unfinished.LOST
            await self._clock.sleep(self._rules.poll_seconds)
            return await self._sent(self._content, has_stream=self._has_stream)
        await self._poll_until_gone()
        return _Unfinished.LOST

    async def _report_until_gone(self, *, has_stream: bool) -> None:
        """Report progress until it is cancelled; returns only if the server has not answered for LOST_SECONDS."""
        if has_stream:
            await self._opened.wait()
            await self._clock.sleep(FIRST_POLL_SECONDS)
            self._run.begin()
            await asyncio.get_running_loop().create_future()
        if not self._server.abilities.can_query_state:
            await self._clock.sleep(self._rules.unanswered_seconds)
            self._run.begin()
            await asyncio.get_running_loop().create_future()
        await self._clock.sleep(FIRST_POLL_SECONDS)
        await self._poll(is_gone_over=False)

    async def _poll_until_gone(self) -> None:
        await self._poll(is_gone_over=True)

    async def _poll(self, *, is_gone_over: bool) -> None:
        pause, seen_at = self._rules.poll_seconds, self._clock.monotonic()
        while True:
            try:
                snapshot = await self._server.query_state(self._run.id)
            except Unreachable:
                if self._clock.monotonic() - seen_at >= LOST_SECONDS:
                    return
            else:
                seen_at = self._clock.monotonic()
                if snapshot is not None:
                    self._run.begin()
                    await self._report(self._run.report.of_state(snapshot), is_large=snapshot.is_large)
                elif is_gone_over:
                    return
            await self._clock.sleep(pause)
            pause = min(pause * 1.3, LONGEST_POLL_SECONDS)
