"""Runs predictions at one or several Cog servers of the same model: a `dispatch.upstreams.UpstreamProvider`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import Emit, Outcome, RunListener, Work
from halley.dispatch.upstreams import UpstreamAddress, UpstreamModel, UpstreamReport, UpstreamTarget
from halley.egress import OriginClient
from halley.egress.errors import FetchFailed
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.cog.exchange import LOST, ExchangeRules
from halley.providers.cog.inputs import run_content
from halley.providers.cog.pool import ServerPool
from halley.providers.cog.runs import CogRuns
from halley.providers.cog.server import ASK_SECONDS, CogServer, Unreachable
from halley.providers.services.api import Answer
from halley.providers.services.cancels import GRACE_SECONDS, UpstreamCancels
from halley.providers.services.dependencies import UpstreamDependencies, check_lease, target_of
from halley.providers.services.inputs import SentInputs
from halley.providers.services.pace import ServicePace
from halley.providers.services.slots import SharedSlots
from halley.providers.services.verdicts import SubmitVerdict

# A server gives a slot back after its answer is out, and may refuse a run that follows at once: seen in coglet 0.23.1.
BUSY_PAUSES_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_FAULTS: Final = 10


class CogRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the servers are used; the settings of `[providers.NAME]`."""

    token: str | None = None
    concurrency: int = 1  # of each server
    max_in_flight: int = 20
    data_url_bytes: int = 16 * 2**20
    input_links: bool = False  # the servers read our files at our public URL
    ask_seconds: float = ASK_SECONDS  # for a short question
    cancel_grace_seconds: float = GRACE_SECONDS
    exchange: ExchangeRules = ExchangeRules()
    limits: Mapping[str, int] = {}  # runs at once of single versions
    broken: Mapping[str, str] = {}  # versions that cannot run, and why


class CogProvider(SharedSlots):
    """A run lasts only as long as its connection, so it ends with this process; the next process looks it up."""

    is_local: Final = False
    place = ""  # a run there has the id of its prediction, and what cannot be found is never sent again for that
    wants_local_files: Final = False
    loses_runs_at_stop: Final = True

    def __init__(
        self, origins: Sequence[OriginClient], rules: CogRules, dependencies: UpstreamDependencies, *, clock: Clock
    ) -> None:
        self._rules = rules
        super().__init__(0, fault_of=self._fault_of, limits=rules.limits)  # none before a server is known to be healthy
        self._dependencies = dependencies
        self._clock = clock
        servers = [
            CogServer(
                one,
                name=dependencies.name,
                token=rules.token,
                slots=rules.concurrency,
                ask_seconds=rules.ask_seconds,
                clock=clock,
            )
            for one in origins
        ]
        self._pool = ServerPool(
            servers,
            clock=clock,
            answered=dependencies.answered,
            is_wanted=self._is_wanted,
            on_change=self._health_changed,
        )
        self._runs = CogRuns(dependencies, rules.exchange, clock, best=self._pool.best)
        self._unknown = 0
        self._inputs = SentInputs(
            None,
            own=dependencies.own_inputs,
            document_of=dependencies.document_of,
            data_url_bytes=rules.data_url_bytes,
            public_url=lambda: dependencies.public_url if rules.input_links else None,
        )
        self._cancels = UpstreamCancels(
            self._ask_cancel, ServicePace(clock), clock, grace_seconds=rules.cancel_grace_seconds
        )

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        super().request_capacity(version, alone=alone)
        self._pool.ensure()

    async def submit(self, work: Work) -> str:
        target_of(self._dependencies.find_target, work.version)
        return await self._submitted(work, None, work.prediction_id)

    def begin_at_once(self, work: Work, listener: RunListener) -> None:
        """Not local: use `submit`."""

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        if (mine := self._runs.of_prediction(work.prediction_id)) is not None:
            mine.has_slot = work.has_slot
            return mine.handle
        label, _, run_id = ("", "", work.prediction_id) if handle is None else handle.partition(":")
        server = self._pool.named(label)
        if handle is not None and (server is None or not run_id):
            return None
        may_rerun = self._rules.exchange.rerun_lost and not work.has_output
        try:
            there = await self._server_of(run_id, self._pool.servers if server is None else [server])
        except ProviderBusy:
            if not may_rerun:
                raise
            there = server = None  # another server may take it
        if there is not None:
            content = await run_content(work, self._inputs) if may_rerun else b""
            return self._runs.join(work, there, run_id, content).handle
        if may_rerun:
            return await self._submitted(work, server, run_id)
        self._unknown += 1
        raise OutcomeUnknown(LOST)

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        run = self._runs.get(handle)
        if run is None:
            text = f"This server follows no run {handle!r} of a Cog server."
            return Outcome(status="failed", error=text, reason=UNKNOWN_REASON)
        try:
            run.was_followed, run.was_left = True, False
            return await run.follow(emit)
        finally:
            run.was_left = not run.is_over
            if run.is_over:
                self._runs.forget(run)
            if run.has_slot:
                self.drop_slot(run.version)
                run.has_slot = False

    def follows(self, handle: str) -> bool:
        """Whether the run is one of this process."""
        return self._runs.get(handle) is not None

    def cancel(self, handle: str) -> None:
        if (run := self._runs.get(handle)) is not None:
            self._cancels.begin(run)

    async def find_model(self, target: UpstreamTarget) -> UpstreamModel | None:
        """All servers have the same model, under any name; the schema is that of the first server."""
        if target.version is not None:
            return None
        servers = self._pool.servers
        await self._pool.refresh()
        well = [server for server in servers if server.health.serves]
        if not well:
            raise ProviderBusy(self._pool.why)
        document = next((server.abilities.document for server in well if server.abilities.document), b"")
        return UpstreamModel(model=target.model, version=None, openapi_schema=document)

    def use_token(self, token: str | None) -> None:
        for server in self._pool.servers:
            server.use_token(token)

    def report(self) -> UpstreamReport:
        faults = [fault for server in self._pool.servers for fault in server.journal.faults]
        return UpstreamReport(
            in_flight=self.held + sum(not run.has_slot for run in self._runs.all),
            slots=self.limit,
            unknown=self._unknown,
            waits_for=self._pool.why,
            addresses=[
                UpstreamAddress(
                    url=server.url,
                    why=server.journal.without_token(server.health.why),
                    in_flight=server.running,
                    slots=server.slots,
                )
                for server in self._pool.servers
            ],
            faults=sorted(faults, key=lambda fault: fault.at, reverse=True)[:_FAULTS],
        )

    async def close(self) -> None:
        """Newer servers cancel the runs whose connections close now."""
        await self._cancels.close()
        await self._runs.close()
        await self._pool.close()

    async def has_run(self, handle: str) -> bool:
        """See `dispatch.upstreams.RunFinder`. Only a run that is not over can be found."""
        label, _, run_id = handle.partition(":")
        server = self._pool.named(label)
        return server is not None and run_id != "" and await self._runs_there(server, run_id)

    async def find_begun(self, work: Work, within_seconds: float, named: str | None = None) -> str | None:
        """See `dispatch.upstreams.RunFinder`."""
        del within_seconds, named  # its id is that of the prediction
        there = await self._server_of(work.prediction_id, self._pool.servers)
        return None if there is None else there.handle_of(work.prediction_id)

    async def _submitted(self, work: Work, only: CogServer | None, run_id: str) -> str:
        """Begin it at the least loaded server, or only at this one.

        Raises:
            SubmitRefused, ProviderBusy, OutcomeUnknown: see `dispatch.ports.Provider.submit`.
        """
        content = await run_content(work, self._inputs)
        text, was_asked = self._pool.why or "All slots of its servers are taken.", False
        for pause in BUSY_PAUSES_SECONDS:
            server = only or self._pool.best()
            if server is None:
                break
            check_lease(work)
            run = self._runs.begin(work, server, run_id, content)
            try:
                answer = await run.begun()
            except asyncio.CancelledError:
                run.give_up()
                self._runs.forget(run)
                raise
            if answer.verdict is SubmitVerdict.SUBMITTED:
                return run.handle
            self._runs.forget(run)
            text, was_asked = server.journal.for_callers(answer.text), True
            if answer.verdict is SubmitVerdict.REFUSED:
                raise SubmitRefused(text)
            if answer.verdict is SubmitVerdict.UNKNOWN:
                self._unknown += 1
                raise OutcomeUnknown(text)
            self._health_changed()
            await self._clock.sleep(pause)
        self._pool.doubt()
        raise ProviderBusy(text, retry_after_seconds=1, was_asked=was_asked)

    async def _server_of(self, run_id: str, servers: Sequence[CogServer]) -> CogServer | None:
        """The one of these servers that has this run now; None if none has it.

        Raises:
            ProviderBusy: one of them cannot be asked, and no other one runs it.
        """
        busy: ProviderBusy | None = None
        for one in servers:
            try:
                if await self._runs_there(one, run_id):
                    return one
            except ProviderBusy as error:
                busy = error
        if busy is not None:
            raise busy
        return None

    async def _runs_there(self, server: CogServer, run_id: str) -> bool:
        """Whether the server runs it now.

        Raises:
            ProviderBusy: the server cannot be asked.
        """
        await server.check()
        if not server.health.word:
            raise ProviderBusy(server.journal.for_callers(server.health.why))
        if not server.abilities.can_query_state:
            return False
        try:
            return await server.query_state(run_id) is not None
        except Unreachable as error:
            raise ProviderBusy(server.journal.for_callers(str(error))) from error

    async def _ask_cancel(self, handle: str) -> Answer:
        run = self._runs.get(handle)
        label, _, run_id = handle.partition(":")
        server = self._pool.named(label) if run is None else run.server
        if server is None:
            raise FetchFailed(f"No server has the handle {handle}.")
        return await server.cancel(run_id)

    def _is_wanted(self) -> bool:
        return self.is_awaited or self.held > 0

    def _health_changed(self) -> None:
        self.resize(min(self._pool.slots, self._rules.max_in_flight))
        self._pool.ensure()

    def _fault_of(self, version: str) -> str | None:
        if version in self._rules.broken:
            return self._rules.broken[version]
        if self._dependencies.find_target(version) is None:
            return f"There is no route for the version {version}."
        return None
