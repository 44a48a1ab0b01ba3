"""Many predictions on a route of services, in one process: how many succeed, and how long they take."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fault.routed_services import MODEL, RoutedService
from halley.bus.local import LocalBus
from halley.clock import SystemClock
from halley.dispatch.breaker import Breaker
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.route_table import ModelRoutes
from halley.dispatch.routed_providers import RoutedProviders, UpstreamPlace
from halley.dispatch.rules import DispatchRules
from halley.dispatch.submit_record import SubmitRecord
from halley.dispatch.upstreams import UpstreamTarget
from halley.dispatch.worker import Worker
from halley.ids import TimeOrderedIds
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.inputs import InputCheck
from halley.predictions.records import Prediction
from halley.predictions.service import Admission, CreateRequest, Predictions
from halley.predictions.status import Status
from halley.retention.periods import Periods
from halley.settings import RetentionSettings, RouteSettings
from halley.store.sqlite import open_sqlite
from halley.testing.dispatch import NamingKeeper, NoFolders, ScriptedProvider, ScriptedStaging
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.server import serve

V = "1" * 64
SCHEMA = b'{"components":{"schemas":{"Input":{"type":"object"},"Output":{"type":"string"}}}}'


class NoLocal(ScriptedProvider):
    """This machine, without the model."""

    def serves(self, version: str) -> bool:
        del version
        return False

    def is_loaded(self, version: str) -> bool:
        del version
        return False


class MixResult(NamedTuple):
    """What became of all predictions; times in seconds."""

    rows: Sequence[Prediction]
    breakers: Mapping[str, Sequence[str]]  # the states of each service's breaker, in order

    @property
    def succeeded(self) -> int:
        return sum(row.status is Status.SUCCEEDED for row in self.rows)

    @property
    def reasons(self) -> Counter[str]:
        """Why the others failed."""
        return Counter(str(row.termination_reason) for row in self.rows if row.status is not Status.SUCCEEDED)

    @property
    def places(self) -> Counter[str]:
        """Where they ended."""
        return Counter(row.provider for row in self.rows)

    def seconds(self, part: float) -> float:
        """So many of those that succeeded took at most this time, from create to end."""
        took = sorted(
            (row.completed_at - row.created_at).total_seconds()
            for row in self.rows
            if row.status is Status.SUCCEEDED and row.completed_at is not None
        )
        return took[min(int(len(took) * part), len(took) - 1)] if took else 0.0


class RoutedMix:
    """One run. Each service may have `slots` runs at once."""

    def __init__(
        self, folder: Path, services: Sequence[RoutedService], route: RouteSettings, *, slots: int = 16
    ) -> None:
        self._folder = folder
        self._services = services
        self._route = route
        self._slots = slots
        self._clock = SystemClock()
        self._breakers: dict[str, list[str]] = {service.name: [] for service in services}
        self.places: dict[str, UpstreamPlace] = {}

    async def run(self, count: int, per_second: float, limit_seconds: float) -> MixResult:
        """Create so many predictions at this rate, and wait until all have ended.

        Raises:
            TimeoutError: they had not, in this time.
        """
        async with AsyncExitStack() as stack, asyncio.timeout(limit_seconds):
            store = await stack.enter_async_context(open_sqlite(self._folder / "halley.db", clock=self._clock))
            self.places = {service.name: await self._open(stack, store, service) for service in self._services}
            catalog = Catalog(store)
            now = self._clock.now()
            await catalog.register(
                Model(owner="test", name="echo", created_at=now),
                Version(id=V, model=MODEL, created_at=now, openapi_schema=SCHEMA, provider="local"),
            )
            predictions, worker = await self._start(stack, store, catalog)
            began, made = time.monotonic(), []
            for number in range(count):
                await asyncio.sleep(max(began + number / per_second - time.monotonic(), 0.0))
                given = {"n": number}
                request = CreateRequest(reference=MODEL, input=given, input_json=msgspec.json.encode(given))
                made.append((await predictions.create(request, "ada", None)).prediction.id)
            rows = [await self._ended(store, worker, prediction_id) for prediction_id in made]
        return MixResult(rows, self._breakers)

    async def _open(self, stack: AsyncExitStack, store: Any, service: RoutedService) -> UpstreamPlace:
        states = self._breakers[service.name]
        breaker = Breaker(self._clock, on_change=lambda state, _: states.append(state))
        server = await stack.enter_async_context(serve(service))
        provider = await stack.enter_async_context(
            open_provider(
                server.url,
                service.style,
                rules={"max_in_flight": self._slots, "look_seconds": 3.0},
                settle_seconds=0.5,
                dependencies={
                    "find_target": lambda _: UpstreamTarget(model=MODEL),
                    "held": store.held_handles,
                    "answered": lambda is_answer: breaker.note(answered=is_answer),
                },
            )
        )
        return UpstreamPlace(provider, breaker, None, SubmitRecord(self._clock, breaker, 0.2))

    async def _start(self, stack: AsyncExitStack, store: Any, catalog: Catalog) -> tuple[Predictions, Worker]:
        bus, new_id = LocalBus(), TimeOrderedIds(self._clock)
        session_id = new_id()
        maintainer = Maintainer(
            queue=store,
            catalog=catalog,
            bus=bus,
            clock=self._clock,
            session_id=session_id,
            rules=MaintenanceRules(),
            is_alone=True,
        )
        routed = RoutedProviders(catalog, ModelRoutes({MODEL: self._route}), local=NoLocal())
        routed.places = self.places
        files = RunFiles(stager=ScriptedStaging(), workspace=NoFolders(), keeper=NamingKeeper())
        parts = RunParts(queue=store, bus=bus, clock=self._clock, catalog=catalog, files=files, rules=DispatchRules())
        worker = Worker(parts, providers=routed, reports=maintainer, session_id=session_id, new_id=new_id)
        maintainer.keep_first(worker.renew_late)
        routed.listen(on_capacity=worker.on_capacity, on_broken=worker.broken)
        for place in self.places.values():
            place.upstream.listen(on_capacity=worker.on_capacity, on_broken=worker.broken)
        bus.subscribe(worker.receive)
        await maintainer.open()
        await worker.open()
        service = asyncio.gather(worker.run(), maintainer.run())
        stack.push_async_callback(_end, service)
        predictions = Predictions(
            store=store,
            admission=Admission(catalog=catalog, placement=worker, inputs=InputCheck()),
            bus=bus,
            data_ends=Periods(settings=RetentionSettings(), model_settings={}, keys=store, models=store),
            clock=self._clock,
            new_id=new_id,
        )
        return predictions, worker

    @staticmethod
    async def _ended(store: Any, worker: Worker, prediction_id: str) -> Prediction:
        while True:
            row: Prediction = await store.get(prediction_id)
            if row.is_terminal:
                return row
            await asyncio.sleep(0.05)


async def _end(service: "asyncio.Future[Any]") -> None:
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
