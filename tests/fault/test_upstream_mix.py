"""Creates, faults of a service and deaths of our process at random: nothing is begun twice, nothing is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fault.faulty_service import FaultyService
from halley.bus.local import LocalBus
from halley.clock import SystemClock
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.routing import CatalogRouter
from halley.dispatch.rules import DispatchRules
from halley.dispatch.upstreams import UpstreamTarget
from halley.dispatch.worker import Worker
from halley.egress import OriginClient
from halley.ids import TimeOrderedIds
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.inputs import InputCheck
from halley.predictions.records import Prediction
from halley.predictions.service import Admission, CreateRequest, Predictions
from halley.predictions.status import Status
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.replicate import creates
from halley.providers.replicate.profiles import PROFILES, Profile
from halley.providers.replicate.provider import ReplicateProvider, UpstreamRules
from halley.providers.replicate.submit_answers import read_submit
from halley.providers.services.dependencies import UpstreamDependencies
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict
from halley.retention.periods import Periods
from halley.settings import RetentionSettings
from halley.store.sqlite import open_sqlite
from halley.testing.dispatch import NamingKeeper, NoFolders, ScriptedProvider, ScriptedStaging
from halley.testing.replicate.opening import FAST
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import TOKEN, Style

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

V = "1" * 64
SCHEMA = b'{"components":{"schemas":{"Input":{"type":"object"},"Output":{"type":"string"}}}}'
PREDICTIONS = 16
DEATHS = 2
SECONDS = 45.0  # a bound for the whole mix, many times what it needs


class MortalQueue:
    """The store as one process sees it: once that has died, nothing of it comes back, and it writes nothing."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **named: Any) -> Any:
            if self.is_dead:
                await asyncio.Event().wait()
            result = await method(*args, **named)
            if self.is_dead:
                await asyncio.Event().wait()
            return result

        return call


class ForgetfulQueue(MortalQueue):
    """The planted bug: what may have been submitted looks like a fresh attempt."""

    async def claim(self, *args: Any, **named: Any) -> Any:
        claimed = await self._store.claim(*args, **named)
        rows = [msgspec.structs.replace(item.prediction, submit_state=None, handle=None) for item in claimed]
        return [
            msgspec.structs.replace(item, prediction=row, recorded=None)
            for item, row in zip(claimed, rows, strict=True)
        ]

    async def record_intent(self, *args: Any) -> None:
        pass

    async def record_handle(self, *args: Any) -> None:
        pass


class OneLife:
    """One process of ours: a worker, a maintainer, and its provider."""

    def __init__(self, mix: "Mix") -> None:
        clock, bus, session_id = mix.clock, LocalBus(), mix.new_id()
        self.queue: MortalQueue = mix.queue(mix.store)
        self.provider = ReplicateProvider(
            OriginClient(mix.url, silence_seconds=5.0),
            UpstreamRules(token=TOKEN, profile=mix.profile, max_in_flight=8, look_seconds=20.0, timeout_seconds=5.0),
            UpstreamDependencies(
                find_target=lambda _: UpstreamTarget(model="test/echo"),
                held=mix.held,
                document_of=lambda _: b"",
                answered=lambda _: None,
                chance=mix.chance.random,
            ),
            clock=clock,
        )
        self.maintainer = Maintainer(
            queue=self.queue,  # type: ignore[arg-type]
            catalog=mix.catalog,
            bus=bus,
            clock=clock,
            session_id=session_id,
            rules=MaintenanceRules(),
            is_alone=True,
        )
        files = RunFiles(stager=ScriptedStaging(), workspace=NoFolders(), keeper=NamingKeeper())
        parts = RunParts(
            queue=self.queue,  # type: ignore[arg-type]
            bus=bus,
            clock=clock,
            catalog=mix.catalog,
            files=files,
            rules=DispatchRules(),
        )
        self.worker = Worker(
            parts,
            providers=CatalogRouter(mix.catalog, local=ScriptedProvider(), others={"up": self.provider}),
            reports=self.maintainer,
            session_id=session_id,
            new_id=mix.new_id,
        )
        self.maintainer.keep_first(self.worker.renew_late)
        self.provider.listen(on_capacity=self.worker.on_capacity, on_broken=self.worker.broken)
        bus.subscribe(self.worker.receive)
        self.predictions = Predictions(
            store=mix.store,
            admission=Admission(catalog=mix.catalog, placement=self.worker, inputs=InputCheck()),
            bus=bus,
            data_ends=Periods(settings=RetentionSettings(), model_settings={}, keys=mix.store, models=mix.store),
            clock=clock,
            new_id=mix.new_id,
        )
        self._service: asyncio.Future[Any] | None = None

    async def begin(self) -> None:
        await self.maintainer.open()
        await self.worker.open()
        self._service = asyncio.gather(self.worker.run(), self.maintainer.run())

    async def die(self) -> None:
        self.queue.is_dead = True
        await self.provider.close()
        if self._service is not None:
            self._service.cancel()
            await asyncio.gather(self._service, return_exceptions=True)


class Mix:
    """What outlives our processes."""

    queue: type[MortalQueue] = MortalQueue
    predictions = PREDICTIONS
    deaths = DEATHS

    def __init__(self, store: Any, service: FaultyService, url: str, profile: Profile, chance: random.Random) -> None:
        self.store, self.service, self.url, self.profile, self.chance = store, service, url, profile, chance
        self.clock = SystemClock()
        self.new_id = TimeOrderedIds(self.clock)
        self.catalog = Catalog(store)
        self.made: list[Prediction] = []

    async def run(self) -> list[Prediction]:
        """Create all, die some times, and wait until all have ended."""
        now = self.clock.now()
        await self.catalog.register(
            Model(owner="test", name="echo", created_at=now),
            Version(id=V, model="test/echo", created_at=now, openapi_schema=SCHEMA, provider="up"),
        )
        deaths = sorted(self.chance.sample(range(5, self.predictions), self.deaths))
        life = OneLife(self)
        await life.begin()
        for number in range(self.predictions):
            given = {"n": number}
            request = CreateRequest(reference="test/echo", input=given, input_json=msgspec.json.encode(given))
            self.made.append((await life.predictions.create(request, "ada", None)).prediction)
            await asyncio.sleep(self.chance.random() * 0.03)
            if number in deaths:
                await life.die()
                life = OneLife(self)
                await life.begin()
        try:
            return await asyncio.wait_for(self._ended(life), SECONDS)
        finally:
            await life.die()

    async def held(self, handles: Sequence[str]) -> frozenset[str]:
        """Those that are stored with a prediction."""
        rows = [await self.store.get(made.id) for made in self.made]
        return frozenset(handles).intersection(row.handle for row in rows)

    async def _ended(self, life: OneLife) -> list[Prediction]:
        rows: list[Prediction] = []
        for made in self.made:
            while not (row := await self.store.get(made.id)).is_terminal:
                life.worker.on_capacity(V)  # what waits behind a pause need not wait for a poll
                await asyncio.sleep(0.05)
            rows.append(row)
        return rows

    def check(self, rows: Sequence[Prediction]) -> int:
        """Returns how many are unknown."""
        assert max(self.service.creates.values()) == 1, "begun twice"
        unknown = [row for row in rows if row.termination_reason == UNKNOWN_REASON]
        for number, row in enumerate(rows):
            if row not in unknown:
                assert (row.status, row.output) == (Status.SUCCEEDED, f'"said {number}"'.encode()), row
        return len(unknown)


async def mixed(tmp_path: Path, style: Style, seed: int) -> AsyncIterator[Mix]:
    chance = random.Random(seed)
    service = FaultyService(style, chance)
    profile = msgspec.structs.replace(PROFILES[style], poll=FAST, needs_version=False)
    if profile.settle_seconds is not None:
        profile = msgspec.structs.replace(profile, settle_seconds=0.5)
    async with serve(service) as server, open_sqlite(tmp_path / "halley.db", clock=SystemClock()) as store:
        before = asyncio.all_tasks()
        yield Mix(store, service, server.url, profile, chance)
        left = asyncio.all_tasks() - before  # of dead processes: requests on their way, and what waits for ever
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@pytest.mark.parametrize("style", ["replicate", "cometapi", "halley"])
async def test_nothing_is_begun_twice_and_nothing_is_lost(tmp_path: Path, style: Style) -> None:
    async for mix in mixed(tmp_path, style, seed=1):
        unknown = mix.check(await mix.run())
        assert mix.service.unclear > 0
        if style != "cometapi":
            assert unknown == 0
        else:
            assert unknown <= mix.service.unclear + DEATHS * 8


async def test_planted_bug_what_was_intended_is_a_fresh_attempt_is_found(tmp_path: Path) -> None:
    async for mix in mixed(tmp_path, "replicate", seed=2):
        mix.queue, mix.predictions, mix.deaths = ForgetfulQueue, 40, 6
        with pytest.raises(AssertionError, match="begun twice"):
            mix.check(await mix.run())


async def test_planted_bug_an_unclear_answer_is_sent_again_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_the_guides_say(*given: Any) -> SubmitAnswer:
        said = read_submit(*given)
        is_unclear = said.verdict is SubmitVerdict.UNKNOWN
        return msgspec.structs.replace(said, verdict=SubmitVerdict.BUSY) if is_unclear else said

    monkeypatch.setattr(creates, "read_submit", as_the_guides_say)
    async for mix in mixed(tmp_path, "cometapi", seed=3):
        with pytest.raises(AssertionError, match="begun twice"):
            mix.check(await mix.run())
