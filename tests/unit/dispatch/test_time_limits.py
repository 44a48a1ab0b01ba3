"""The three clocks under load: each prediction ends once, in the right way, at the right time.

Deadlines, run timeouts and the longest wait, for hundreds of predictions on a real store, while the wall clock is set
by a day and the server is started again. Time is a fake clock's; it passes in steps of half a second.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from halley.bus.local import LocalBus
from halley.dispatch.parts import RunFiles, RunParts
from halley.dispatch.ports import Work
from halley.dispatch.routing import OneProvider
from halley.dispatch.rules import DispatchRules
from halley.dispatch.worker import Worker
from halley.ids import TimeOrderedIds
from halley.maintenance.maintainer import Maintainer
from halley.maintenance.rules import MaintenanceRules
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.inputs import InputCheck
from halley.predictions.service import Admission, CreateRequest, Predictions
from halley.predictions.status import EventKind
from halley.retention.periods import Periods
from halley.settings import RetentionSettings
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.clock import T0, FakeClock
from halley.testing.dispatch import NamingKeeper, NoFolders, ScriptedProvider, ScriptedStaging
from unit.dispatch.conftest import CAPS, SCHEMA

pytestmark = pytest.mark.anyio

DAY = 86_400.0
STEP = 0.5
LATE = 1.6  # a tick of the clocks, a step of this test, and what a reader is behind
RUN_SECONDS, QUEUE_SECONDS = 30.0, 60.0
RULES = DispatchRules(run_timeout_seconds=RUN_SECONDS, max_queue_seconds=QUEUE_SECONDS, caps=CAPS)
PREDICTIONS, SLOTS = 300, 40


class Story(msgspec.Struct):
    """What happened to one prediction, in seconds that passed."""

    created: float
    deadline: float | None
    ends: list[float] = []


class Machine:
    """A database that stays, and servers that come and go."""

    store: SqliteStore

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self._path = path
        self._opened = AsyncExitStack()
        self.stories: dict[str, Story] = {}
        self.starts: defaultdict[str, list[float]] = defaultdict(list)  # it may begin before its story does
        self.restarted_at = 0.0
        self._offset = 0
        self._begun = self.clock.elapsed()
        self._random = random.Random(7)
        self._service: asyncio.Future[list[None]] | None = None

    @property
    def at(self) -> float:
        return self.clock.elapsed() - self._begun

    async def start(self) -> None:
        """Start a server: everything but the database is new."""
        self.store = await self._opened.enter_async_context(open_sqlite(self._path, clock=self.clock))
        bus, new_id = LocalBus(), TimeOrderedIds(self.clock)
        new_id.follow(await self.store.newest_id())
        self.provider = NotingProvider(self)
        catalog = Catalog(self.store)
        version = Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA)
        await catalog.register(Model(owner="demo", name="a", created_at=T0), version)
        session_id = new_id()
        self.maintainer = Maintainer(
            queue=self.store,
            catalog=catalog,
            bus=bus,
            clock=self.clock,
            session_id=session_id,
            rules=MaintenanceRules(max_queue_seconds=QUEUE_SECONDS),
            is_alone=True,
        )
        parts = RunParts(
            queue=self.store,
            bus=bus,
            clock=self.clock,
            catalog=catalog,
            files=RunFiles(stager=ScriptedStaging(), workspace=NoFolders(), keeper=NamingKeeper()),
            rules=RULES,
        )
        self.worker = Worker(
            parts,
            providers=OneProvider(self.provider),
            reports=self.maintainer,
            session_id=session_id,
            new_id=new_id,
        )
        self.maintainer.keep_first(self.worker.renew_late)
        bus.subscribe(self.worker.receive)
        self.predictions = Predictions(
            store=self.store,
            admission=Admission(catalog=catalog, placement=self.worker, inputs=InputCheck()),
            bus=bus,
            data_ends=Periods(settings=RetentionSettings(), model_settings={}, keys=self.store, models=self.store),
            clock=self.clock,
            new_id=new_id,
        )
        await self.maintainer.open()
        await self.worker.open()
        self._service = asyncio.gather(self.worker.run(), self.maintainer.run())
        await self._settle()

    async def kill(self) -> None:
        """The server is gone, with all that it knew."""
        assert self._service is not None
        self._service.cancel()
        await asyncio.gather(self._service, return_exceptions=True)
        await self._opened.aclose()

    async def create(self, deadline: float | None) -> None:
        request = CreateRequest(reference="demo/a", input={}, input_json=b"{}", cancel_after_seconds=deadline)
        made = (await self.predictions.create(request, self._random.choice("abc"), None)).prediction
        self.stories[made.id] = Story(self.at, None if deadline is None else self.at + deadline)

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP)):
            self.clock.advance(STEP)
            await self._settle()
            for run in self.provider.runs:
                if self._random.random() < 0.004:
                    run.end()

    async def _settle(self) -> None:
        """Until everybody has done what there was to do, and was seen to."""
        for _ in range(5):
            while self.clock.sleepers < 3:  # heartbeat, the clocks of the worker and of the maintainer
                await asyncio.sleep(0.001)
            await self.store.waiting()  # behind all writes
            await asyncio.sleep(0.001)
        for event in await self.store.read_log(self._offset, 10_000):
            self._offset = event.offset
            if event.kind is EventKind.FINISHED:
                self.stories[event.prediction_id].ends.append(self.at)


class NotingProvider(ScriptedProvider):
    """Notes when each attempt begins."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(SLOTS)
        self._machine = machine

    async def submit(self, work: Work) -> str:
        self._machine.starts[work.prediction_id].append(self._machine.at)
        return await super().submit(work)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path / "halley.db")
    await made.start()
    yield made
    await made.kill()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("restarts", [False, True], ids=["one server", "restarted"])
@pytest.mark.parametrize("leaps", [(), (DAY,), (-DAY,), (DAY, -DAY), (-DAY, DAY)], ids=str)
async def test_each_ends_once_in_the_right_way_at_the_right_time(
    machine: Machine, leaps: tuple[float, ...], restarts: bool
) -> None:
    chance = random.Random(3)
    for _ in range(6):  # they come in waves, before, between and after the leaps
        for _ in range(PREDICTIONS // 6):
            await machine.create(chance.choice([None, None, chance.uniform(5, 50)]))
        await machine.pass_time(6)
        if machine.at in (12.0, 24.0) and len(leaps) * 12.0 >= machine.at:
            machine.clock.jump(leaps[int(machine.at / 12) - 1])
        if restarts and machine.at == 18.0:
            await machine.kill()
            await machine.start()
            machine.restarted_at = machine.at
    await machine.pass_time(QUEUE_SECONDS + RUN_SECONDS + 10)
    is_blurred = restarts and -DAY in leaps
    ends = [await way_of(machine, one, story, is_blurred=is_blurred) for one, story in machine.stories.items()]
    ways = Counter(ends)
    assert sum(ways.values()) == PREDICTIONS
    wanted = {"succeeded", "run_timeout", "deadline", "deadline_before_start", "queue_time"}
    assert {way for way, count in ways.items() if count >= 3} >= wanted, ways
    assert machine.worker.running == 0


async def way_of(machine: Machine, prediction_id: str, story: Story, *, is_blurred: bool) -> str:
    """How it ended; the moment is checked here."""
    row = await machine.store.get(prediction_id)
    assert row is not None
    assert len(story.ends) == 1, f"{row.status} ended {len(story.ends)} times"
    (end,) = story.ends
    way = row.termination_reason or row.status.value
    starts = machine.starts[prediction_id]
    queue_end, deadline = story.created + QUEUE_SECONDS, story.deadline
    status, due = {
        "succeeded": ("succeeded", None),
        "run_timeout": ("failed", starts[-1] + RUN_SECONDS if starts else None),
        "deadline": ("canceled", deadline),
        "deadline_before_start": ("aborted", deadline),
        "queue_time": ("failed" if starts else "aborted", queue_end),
        "worker_lost": ("failed", None),
    }[way]
    assert row.status.value == status, (way, row.status, story)
    if due is not None:
        # the ids of what was made behind a clock that was set back stand still: a server that was not there when they
        # were made can only tell that they are older than itself
        latest = max(due, machine.restarted_at + QUEUE_SECONDS) if way == "queue_time" and is_blurred else due
        assert due - 2 * STEP <= end <= latest + LATE, (way, story)
    if deadline is not None:
        assert end <= deadline + LATE, f"{way} after its deadline: {story}"
    assert (way == "deadline_before_start") <= (not starts)
    return way


# what was written about the future --------------------------------------------------------------------------------


async def test_a_deadline_is_shown_in_the_time_that_the_clock_shows(machine: Machine) -> None:
    await machine.create(50.0)
    (prediction_id,) = machine.stories
    before = await machine.predictions.row(prediction_id, (await machine.predictions.find(prediction_id)).account_id)  # type: ignore[union-attr]
    machine.clock.jump(DAY)
    await machine.pass_time(1)
    after = await machine.store.get(prediction_id)
    assert after is not None
    assert before.deadline_at is not None
    assert after.deadline_at is not None
    assert (after.deadline_at - before.deadline_at).total_seconds() == DAY


async def test_time_that_the_machine_slept_has_passed(machine: Machine) -> None:
    await machine.create(50.0)
    machine.clock.suspend(49.0)
    await machine.pass_time(0.5)
    (story,) = machine.stories.values()
    assert story.ends == []
    await machine.pass_time(1)
    assert len(story.ends) == 1


@pytest.mark.parametrize("by", [DAY, -DAY])
async def test_a_clock_jump_expires_no_lease(machine: Machine, by: float) -> None:
    await machine.create(None)
    (run,) = machine.provider.runs
    for _ in range(4):
        machine.clock.jump(by)
        await machine.pass_time(2)
    assert not run.canceled.is_set()
    run.end()
    await machine.pass_time(1)
    (prediction_id,) = machine.stories
    row = await machine.store.get(prediction_id)
    assert row is not None
    assert (row.status, row.attempts) == ("succeeded", 1)
