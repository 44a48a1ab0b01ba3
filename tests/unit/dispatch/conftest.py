"""A worker in a harness: memory store, fake clock, scripted provider."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec
import pytest

from halley.bus.local import LocalBus
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.ports import ProviderRouter
from halley.dispatch.routing import OneProvider
from halley.dispatch.rules import DispatchRules, OutputCaps
from halley.dispatch.worker import Worker
from halley.ids import TimeOrderedIds
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.hints import Bus
from halley.predictions.inputs import InputCheck
from halley.predictions.records import Prediction
from halley.predictions.service import Admission, CreateRequest, Predictions
from halley.retention.periods import Periods
from halley.settings import RetentionSettings
from halley.store.memory import MemoryStore
from halley.testing.clock import T0, FakeClock
from halley.testing.dispatch import NamingKeeper, NoFolders, ScriptedProvider, ScriptedStaging

SCHEMA = msgspec.json.encode(
    {
        "components": {
            "schemas": {
                "Input": {
                    "type": "object",
                    "properties": {
                        "prompt": {"type": "string"},
                        "photo": {"type": "string", "format": "uri"},
                        "key": {"type": "string", "x-cog-secret": True},
                    },
                },
                "Output": {"type": "string"},
            }
        }
    }
)
CAPS = OutputCaps(log_bytes=100, metric_bytes=200, output_items=5, output_bytes=1000)
RULES = DispatchRules(run_timeout_seconds=60.0, caps=CAPS)


class Harness:
    """The parts, and shorthands for what tests do with them."""

    service: "asyncio.Future[list[None]]"

    def __init__(
        self, slots: int, bus: Bus | None = None, make_router: "Callable[[Harness], ProviderRouter] | None" = None
    ) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)
        self.provider = ScriptedProvider(slots)
        self.keeper = NamingKeeper()
        self.folders = NoFolders()
        self.stager = ScriptedStaging()
        self.catalog = Catalog(self.store)
        self.model = Model(owner="demo", name="a", created_at=T0)
        self.version = Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA)
        bus, self.hinted, new_id = bus or LocalBus(), asyncio.Event(), TimeOrderedIds(self.clock)
        session_id = new_id()
        self.maintainer = Maintainer(
            queue=self.store,
            catalog=self.catalog,
            bus=bus,
            clock=self.clock,
            session_id=session_id,
            rules=MaintenanceRules(),
            is_alone=True,
        )
        parts = RunParts(
            queue=self.store,
            bus=bus,
            clock=self.clock,
            catalog=self.catalog,
            files=RunFiles(stager=self.stager, workspace=self.folders, keeper=self.keeper),
            rules=RULES,
        )
        self.worker = Worker(
            parts,
            providers=OneProvider(self.provider) if make_router is None else make_router(self),
            reports=self.maintainer,
            session_id=session_id,
            new_id=new_id,
        )
        self.maintainer.keep_first(self.worker.renew_late)
        bus.subscribe(lambda _: self.hinted.set())
        bus.subscribe(self.worker.receive)
        self.predictions = Predictions(
            store=self.store,
            admission=Admission(catalog=self.catalog, placement=self.worker, inputs=InputCheck()),
            bus=bus,
            data_ends=Periods(settings=RetentionSettings(), model_settings={}, keys=self.store, models=self.store),
            clock=self.clock,
            new_id=new_id,
        )

    async def create(self, account: str = "ada", **more: object) -> Prediction:
        request = CreateRequest(reference="demo/a", input={}, input_json=b"{}", **more)  # type: ignore[arg-type]
        return (await self.predictions.create(request, account, None)).prediction

    async def until(
        self, prediction_id: str, reached: Callable[[Prediction], bool], account: str = "ada"
    ) -> Prediction:
        """The prediction once it is so; the test's time limit is the bound."""
        while True:
            self.hinted.clear()
            row = await self.predictions.filled(await self.predictions.row(prediction_id, account))
            if reached(row):
                return row
            with suppress(TimeoutError):
                await asyncio.wait_for(self.hinted.wait(), 0.05)

    async def ended(self, prediction_id: str, account: str = "ada") -> Prediction:
        return await self.until(prediction_id, lambda row: row.is_terminal, account)

    async def stop_hard(self) -> None:
        """As a second signal does: nothing is waited for."""
        self.service.cancel()
        await asyncio.gather(self.service, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in steps, so that services that wake do their work."""
        for _ in range(int(seconds / 0.5)):
            self.clock.advance(0.5)
            await asyncio.sleep(0.001)


@pytest.fixture
def slots() -> int:
    return 1


@pytest.fixture
def bus() -> Bus:
    return LocalBus()


@pytest.fixture
async def stopped(slots: int, bus: Bus) -> Harness:
    """One whose worker was not opened yet."""
    made = Harness(slots, bus)
    await made.catalog.register(made.model, made.version)
    return made


@pytest.fixture
async def harness(stopped: Harness) -> AsyncIterator[Harness]:
    made = stopped
    await made.maintainer.open()
    await made.worker.open()
    made.service = asyncio.gather(made.worker.run(), made.maintainer.run())
    yield made
    await made.stop_hard()
