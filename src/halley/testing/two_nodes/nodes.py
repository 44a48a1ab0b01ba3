"""Processes of one role each: a worker, an API server without HTTP, a maintainer."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, cast

from halley.api.http.asgi import Outcome, Response
from halley.api.waiting.change_poller import ChangePoller
from halley.api.waiting.conditions import Until
from halley.api.waiting.hold import Snapshot
from halley.api.waiting.hub import Hub
from halley.api.waiting.revocation import RevocationWatch
from halley.clock import Clock
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.ports import Provider
from halley.dispatch.routing import OneProvider
from halley.dispatch.rules import DispatchRules
from halley.dispatch.worker import Worker
from halley.ids import NewId
from halley.keys.records import Scope
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.abandonment import AbandonmentTracker
from halley.predictions.duties import Duty
from halley.predictions.inputs import InputCheck
from halley.predictions.queue import Claimed
from halley.predictions.records import Prediction
from halley.predictions.service import Admission, Predictions
from halley.retention.periods import Periods
from halley.retry import HousekeepingFaults, run_housekeeping
from halley.settings import RetentionSettings
from halley.store.ports import Store
from halley.testing.bus import LossyBus
from halley.testing.clock import T0
from halley.testing.dispatch import NamingKeeper, NoFolders, ScriptedProvider, ScriptedStaging
from halley.testing.two_nodes.node_store import NodeStore

LEASE_SECONDS: Final = 4.0
HEARTBEAT_SECONDS: Final = 1.0
UNOFFERED_SECONDS: Final = 6.0
GRACE_SECONDS: Final = 2.0
SCHEMA: Final = b'{"components":{"schemas":{"Input":{"type":"object","properties":{}},"Output":{"type":"string"}}}}'


class Process:
    """Shared by all: a view of the store, a bus that loses everything, tasks."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self.gate = NodeStore(store)
        self.store = self.gate.as_store()
        self.bus = LossyBus()
        self.clock = clock
        self.new_id = new_id
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, *services: Coroutine[Any, Any, Any]) -> None:
        self._tasks += [asyncio.ensure_future(service) for service in services]

    def die(self) -> None:
        """From now on it writes nothing and does nothing."""
        self.gate.pause()
        self.stop()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def gone(self) -> None:
        """Wait until all its tasks have ended; calls that hang in the store are cancelled."""
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.sleep(0)

    @property
    def errors(self) -> list[BaseException]:
        """The errors that ended its services."""
        done = [task for task in self._tasks if task.done() and not task.cancelled()]
        return [error for task in done if (error := task.exception()) is not None]


class WorkerNode(Process):
    """A worker with its provider."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId, provider: Provider | None = None) -> None:
        super().__init__(store, clock, new_id)
        self.provider = ScriptedProvider(slots=4)
        self.catalog = Catalog(self.store)
        self.reported: list[str] = []
        parts = RunParts(
            queue=self.store,
            bus=self.bus,
            clock=clock,
            catalog=self.catalog,
            files=RunFiles(stager=ScriptedStaging(), workspace=NoFolders(), keeper=NamingKeeper()),
            rules=DispatchRules(lease_seconds=LEASE_SECONDS, heartbeat_seconds=HEARTBEAT_SECONDS),
        )
        self.worker = Worker(
            parts,
            providers=OneProvider(provider or cast("Provider", self.provider)),
            reports=self,
            session_id=new_id(),
            new_id=new_id,
        )
        self.bus.subscribe(self.worker.receive)

    async def open(self, versions: Sequence[str]) -> None:
        for version in versions:
            await self.offer(version)
        await self.worker.open()
        self.start(self.worker.run())

    async def offer(self, version: str) -> None:
        """Offer it from now on."""
        await self.catalog.register(*model_of(version))

    # dispatch.ports.UnrunnableReports: this process does not maintain

    def unknown(self, version: str) -> None:
        self.reported.append(version)

    def broken(self, version: str, error: str, reason: str) -> None:
        raise AssertionError(f"{version}: {error} ({reason})")


class ApiNode(Process):
    """An API server from its resources' view: use cases, and the hub in which requests wait."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        super().__init__(store, clock, new_id)
        self.catalog = Catalog(self.store)
        self.predictions = Predictions(
            store=self.store,
            admission=Admission(catalog=self.catalog, placement=_NoSlots(), inputs=InputCheck()),
            bus=self.bus,
            data_ends=Periods(settings=RetentionSettings(), model_settings={}, keys=self.store, models=self.store),
            clock=clock,
            new_id=new_id,
        )
        self.attendance = AbandonmentTracker(
            store=self.store,
            predictions=self.predictions,
            clock=clock,
            grace_seconds=GRACE_SECONDS,
            node_id=new_id(),
            lease_seconds=LEASE_SECONDS,
            is_alone=False,
        )
        self.hub = Hub(
            predictions=self.predictions,
            attendance=self.attendance,
            revocations=RevocationWatch(keys=cast("Any", None), clock=clock),  # keys are not checked here
            clock=clock,
        )
        self.poller = ChangePoller(log=self.store, clock=clock)
        self.poller.tell(self.hub.poll_found, is_wanted=lambda: self.hub.has_holds)
        self.bus.subscribe(self.hub.receive)

    async def open(self, versions: Sequence[str]) -> None:
        for version in versions:
            await self.catalog.register(*model_of(version))
        await self.poller.open()
        await self.attendance.open()
        polling = run_housekeeping(self.poller.turn, self.clock, "looking for changes", HousekeepingFaults())
        self.start(self.hub.run(), self.attendance.run(), polling)

    async def wait(self, prediction_id: str, account_id: str, seconds: float = 60.0) -> "asyncio.Future[Prediction]":
        """Wait for its end as a held GET does. Done when the client is answered."""
        answered: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()

        async def tell(found: Snapshot | Exception) -> Response:
            if isinstance(found, Exception):
                raise found
            if not answered.done():
                answered.set_result(found.row)
            return Response()

        def give(outcome: Outcome) -> None:
            if isinstance(outcome, Exception) and not answered.done():
                answered.set_exception(outcome)

        with self.hub.enter(prediction_id, {}) as hold:
            row = await self.predictions.row(prediction_id, account_id)
            hold.expect(row, Until.END, tell, seconds=seconds, carrier=("key", Scope.READ)).later()
        hold.park(give)
        return answered


class MaintainerNode(Process):
    """A maintainer in a process that has no worker."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        super().__init__(store, clock, new_id)
        self.maintainer = Maintainer(
            queue=self.store,
            catalog=Catalog(self.store),
            bus=self.bus,
            clock=clock,
            session_id=new_id(),
            rules=MaintenanceRules(lease_seconds=LEASE_SECONDS, unoffered_seconds=UNOFFERED_SECONDS),
            is_alone=False,
        )
        self.terms: list[Duty | None] = []  # the duties with which its service ran
        self.is_serving = False

    async def open(self) -> None:
        await self.maintainer.open()
        self.start(self.maintainer.run(), self.maintainer.while_on_duty(self._serve))

    async def _serve(self, duty: Duty | None) -> None:
        """As webhooks do: until cancelled."""
        self.terms.append(duty)
        self.is_serving = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_serving = False


class _NoSlots:
    """Implements `predictions.ports.Placement`: this process has no worker."""

    def reserve(self, version: str, account_id: str) -> str | None:
        del version, account_id
        return None

    def begin(self, version: str, claimed: Claimed) -> None:
        raise AssertionError(f"{claimed.prediction.id} of {version} was leased to nobody")

    def give_up(self, version: str) -> None:
        del version


def model_of(version: str) -> tuple[Model, Version]:
    """The model that has this version."""
    name = f"m{version[:4]}"
    return (
        Model(owner="demo", name=name, created_at=T0),
        Version(id=version, model=f"demo/{name}", created_at=T0, openapi_schema=SCHEMA),
    )
