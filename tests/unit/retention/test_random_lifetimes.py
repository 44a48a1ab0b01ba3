"""Random lives of bytes: whoever comes, goes, dies or does so at the same time, what is needed can be read.

The oracle is what was acknowledged: an upload that was answered and neither deleted nor expired, an output of a
prediction whose data was not removed, an input of a prediction that is not over. All that must be readable at any
moment, and after a sweep nothing else may be left. A crash is a call of a port that never returns; whoever comes after
it is a new process.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halley.assets.blob_references import BlobReferences
from halley.assets.files import Files
from halley.assets.holding import OWNER_KIND, to_hold, upload
from halley.assets.ports import BlobInfo
from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.bus.local import LocalBus
from halley.errors import HalleyError, NotFound, StorageFull
from halley.ids import PooledText, TimeOrderedIds
from halley.predictions.ports import NewPrediction
from halley.predictions.queue import Lease
from halley.predictions.records import Prediction
from halley.predictions.status import Fact, Status
from halley.retention.periods import Periods
from halley.retention.retention_clock import SETTLE_SECONDS
from halley.retention.service import RetentionService
from halley.settings import RetentionSettings
from halley.store.memory import MemoryStore
from halley.store.sqlite import open_sqlite
from halley.testing.blobs import stream
from halley.testing.clock import FakeClock

HOUR: Final = 3600.0
CONTENTS: Final = [b"a", b"b"]  # few, so that many need the same
VERSION: Final = "a" * 64


How = Literal["before", "after", "refused"]


class Crash(BaseException):
    """This process is dead."""


class Fuse:
    """Ends the process at the n-th call from now, before or after the call has done its work; or refuses that call."""

    def __init__(self) -> None:
        self.calls_left: int | None = None
        self.how: How = "before"
        self.turns = random.Random(0)

    async def around(self, call: Callable[[], Awaitable[Any]]) -> Any:
        await self._let_others_in()
        burns = self._burns()
        if burns and self.how == "refused":
            self.calls_left = None
            raise StorageFull("no room")
        if burns and self.how == "before":
            raise Crash
        result = await call()
        if burns:
            raise Crash
        await self._let_others_in()
        return result

    async def _let_others_in(self) -> None:
        for _ in range(self.turns.randrange(4)):
            await asyncio.sleep(0)

    def _burns(self) -> bool:
        if self.calls_left is None:
            return False
        self.calls_left -= 1
        return self.calls_left < 0


class Fused:
    """A port behind the fuse. What is no coroutine passes."""

    def __init__(self, behind: Any, fuse: Fuse) -> None:
        self._behind, self._fuse = behind, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._behind, name)
        if name in {"open", "path", "drafts", "files"}:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._fuse.around(lambda: method(*args, **kwargs))

        return call


class Machine:
    """The parts around the blob_references, killed and started again at will; and the oracle."""

    def __init__(
        self, store: Any, blobs: Any, folder: Path, make_blob_references: Callable[..., BlobReferences]
    ) -> None:
        self.clock = FakeClock()
        self.new_id = TimeOrderedIds(self.clock, PooledText(random.Random(1).randbytes))
        self.fuse = Fuse()
        self.true_store, self.true_blobs = store, blobs
        self.made = [folder / f"made-{number}" for number in range(len(CONTENTS))]
        for path, data in zip(self.made, CONTENTS, strict=True):
            path.write_bytes(data)
        self.make_blob_references = make_blob_references
        self.leases: dict[str, Lease] = {}
        self.uploads: list[str] = []
        self.predictions: list[str] = []
        self.acknowledged: dict[tuple[str, str], set[str]] = {}  # who needs which contents, as far as was answered
        self.unknown: set[str] = set()  # predictions whose create was cut off: only the store knows
        self.start()

    def start(self) -> None:
        self.fuse.calls_left = None
        store, blobs = Fused(self.true_store, self.fuse), Fused(self.true_blobs, self.fuse)
        self.blob_references = self.make_blob_references(blobs=blobs, ledger=store)
        self.files = Files(
            store=Fused(self.true_store.files, self.fuse),
            blob_references=self.blob_references,
            blobs=blobs,
            clock=self.clock,
            new_id=self.new_id,
            upload_limit_bytes=100,
            life_seconds=2 * HOUR,
        )
        periods = Periods(settings=RetentionSettings(api="1h"), model_settings={}, keys=store, models=store)
        self.retention = RetentionService(
            store=store,
            blob_references=self.blob_references,
            uploads=self.files,
            periods=periods,
            bus=LocalBus(),
            clock=self.clock,
        )
        self.store = store

    # what may happen

    async def do(self, name: str, which: int) -> None:
        try:
            await getattr(self, name)(which)
        except HalleyError:
            pass  # refused in time: the caller knows

    async def upload(self, which: int) -> None:
        data = CONTENTS[which % 2]
        file = await self.files.create("anna", stream(data), name="x", content_type="text/plain")
        self.uploads.append(file.id)
        self.acknowledged["file", file.id] = {file.sha256}

    async def delete_upload(self, which: int) -> None:
        if (file_id := _pick(self.uploads, which)) is not None:
            self.uploads.remove(file_id)
            self._no_longer("file", file_id)
            await self.files.delete("anna", file_id)

    async def create(self, which: int) -> None:
        """A prediction that runs; every second one has an upload as its input."""
        row = Prediction(
            id=self.new_id(), account_id="anna", model="m/m", version=VERSION, input=b"{}", created_at=self.clock.now()
        )
        file_id = _pick(self.uploads, which) if which % 2 else None
        file = None if file_id is None else await self.files.get("anna", file_id)
        held = () if file is None else (to_hold(upload(file.id), file),)
        self.unknown.add(row.id)
        made = await self.store.create(NewPrediction(prediction=row, session_id="s", files=held))
        self.predictions.append(row.id)
        self.leases[row.id] = made.lease
        noted = {one.sha256 for one in await self.true_store.references(OWNER_KIND, row.id)}
        self.acknowledged[OWNER_KIND, row.id] = noted
        self.unknown.discard(row.id)

    async def output(self, which: int) -> None:
        prediction_id = _pick(self.predictions, which)
        if prediction_id is None:
            return
        row = await self.true_store.get(prediction_id)
        info = await self.blob_references.keep_file(
            self.made[which % 2], owner_kind="prediction", owner_id=prediction_id, name=str(which)
        )
        if row.data_removed_at is None:
            self.acknowledged.setdefault(("prediction", prediction_id), set()).add(info.sha256)

    async def finish(self, which: int) -> None:
        if (prediction_id := _pick(self.predictions, which)) is not None:
            self._no_longer(OWNER_KIND, prediction_id)
            if (lease := self.leases.pop(prediction_id, None)) is not None:
                await self.store.finish(lease, Fact.FAILED, self.clock.now())

    async def remove(self, which: int) -> None:
        prediction_id = _pick(self.predictions, which)
        if prediction_id is None or not (await self.true_store.get(prediction_id)).is_terminal:
            return
        self._no_longer("prediction", prediction_id)
        await self.retention.remove_now(prediction_id, "anna")

    async def look(self, which: int) -> None:
        del which
        await self.retention.look()

    async def sweep(self, which: int) -> None:
        del which
        await self.retention.sweep(0)

    async def wait(self, which: int) -> None:
        self.clock.advance((which % 4 + 1) * HOUR / 2)

    def _no_longer(self, kind: str, owner_id: str) -> None:
        self.acknowledged.pop((kind, owner_id), None)

    # the judgement

    async def check(self) -> None:
        """Everything that somebody was promised can be read."""
        for (kind, owner_id), digests in list(self.acknowledged.items()):
            if await self._has_ended(kind, owner_id):
                continue
            for sha256 in digests:
                async with aclosing(self.true_blobs.open(sha256)) as chunks:
                    assert b"".join([chunk async for chunk in chunks]) in CONTENTS, f"{kind} {owner_id} lost its bytes"

    async def check_nothing_is_left(self) -> None:
        """After a restart and a sweep only that is stored which somebody needs, and nobody needs it for nothing."""
        self.start()
        await self.retention.look()
        self.clock.advance(SETTLE_SECONDS + 30 * HOUR)  # the clock has settled, and what was never stored is old
        await self.retention.look()
        self.clock.advance(1)
        await self.retention.look()
        await self.retention.sweep(0)
        needed = set()
        for prediction_id in [*self.predictions, *self.unknown]:
            row = await self.true_store.get(prediction_id)
            if row is None and prediction_id in self.unknown:
                continue
            assert not row.is_terminal or row.data_removed_at is not None
            kinds = ("prediction", OWNER_KIND) if row.status is Status.STARTING else ()
            for kind in kinds:
                needed |= {one.sha256 for one in await self.true_store.references(kind, prediction_id)}
        assert set(await self.true_blobs.stored("", 99, 0)) == needed
        assert await self.true_store.known([sha256 async for sha256 in _all_digests()]) == needed
        await self.check()

    async def _has_ended(self, kind: str, owner_id: str) -> bool:
        if kind == "file":
            try:
                await self.files.get("anna", owner_id)
            except NotFound:
                return True
            return False
        row = await self.true_store.get(owner_id)
        if kind == "prediction":
            ended = row.completed_at is not None and row.completed_at + timedelta(hours=1) <= self.clock.now()
            return ended or row.data_removed_at is not None
        return row.is_terminal


async def _all_digests() -> AsyncIterator[str]:
    blobs = MemoryBlobs()
    for data in CONTENTS:
        yield (await blobs.put(stream(data), 9)).sha256


def _pick(items: list[str], which: int) -> str | None:
    return items[which % len(items)] if items else None


NAMES: Final = [
    *("upload", "upload", "delete_upload", "delete_upload"),  # what meets most often
    *("create", "output", "finish", "remove", "look", "sweep", "wait"),
]
OPERATION: Final = st.tuples(st.sampled_from(NAMES), st.integers(0, 11))
# one operation, or a few at the same time; and the call at which the process dies or the disk is full, if any
STEP: Final = st.tuples(
    st.lists(OPERATION, min_size=1, max_size=3),
    st.one_of(st.none(), st.tuples(st.integers(0, 8), st.sampled_from(get_args(How)))),
    st.integers(0, 2**16),
)
STEPS: Final = st.lists(STEP, min_size=3, max_size=25)
Step = tuple[list[tuple[str, int]], tuple[int, How] | None, int]
Steps = list[Step]


async def live(machine: Machine, steps: Steps) -> None:
    await machine.true_store.open_session("s", machine.clock.now(), 1e9)
    for operations, crash, seed in steps:
        machine.fuse.turns.seed(seed)
        if crash is not None:
            machine.fuse.calls_left, machine.fuse.how = crash
        done = await asyncio.gather(*[asyncio.ensure_future(_guarded(machine, *operation)) for operation in operations])
        machine.fuse.calls_left = None
        if any(isinstance(one, Crash) for one in done):
            machine.start()
        await machine.check()
    await machine.check_nothing_is_left()


async def _guarded(machine: Machine, name: str, which: int) -> Crash | None:
    for _ in range(machine.fuse.turns.randrange(20)):
        await asyncio.sleep(0)  # one is in the middle when the other begins
    try:
        await machine.do(name, which)
    except Crash as crash:
        machine.fuse.calls_left = 0  # the others of this process die as well, at their next call
        machine.fuse.how = "before"
        return crash
    return None


def in_memory(steps: Steps, make_blob_references: Callable[..., BlobReferences] = BlobReferences) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(live(Machine(MemoryStore(), MemoryBlobs(), Path(folder), make_blob_references), steps))


@pytest.mark.timeout(300)  # a failure is made small before it is shown
@given(STEPS)
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_needed_is_there_and_what_is_not_goes(steps: Steps) -> None:
    in_memory(steps)


@asynccontextmanager
async def on_disk(folder: Path) -> AsyncIterator[Machine]:
    async with open_sqlite(folder / "halley.db") as store:
        blobs = FileBlobs(folder / "blobs")
        blobs.prepare()
        yield Machine(store, blobs, folder, BlobReferences)


@pytest.mark.slow
@pytest.mark.timeout(300)
@given(steps=STEPS)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_the_same_with_a_database_and_files(tmp_path_factory: pytest.TempPathFactory, steps: Steps) -> None:
    async def run() -> None:
        async with on_disk(tmp_path_factory.mktemp("data")) as machine:
            await live(machine, steps)

    asyncio.run(run())


class Unlocked(BlobReferences):
    """A planted bug: needs and deletions do not exclude each other."""

    @asynccontextmanager
    async def _alone(self, sha256: str) -> AsyncIterator[None]:
        del sha256
        yield


class Trusting(BlobReferences):
    """A planted bug: what was free a moment ago is deleted without another look."""

    async def _remove(self, sha256: str) -> bool:
        async with self._alone(sha256):
            await self._blobs.delete(sha256)
            await self._ledger.forget_blob(sha256)
            return True


class Unsure(BlobReferences):
    """A planted bug: nobody looks whether the bytes are still there when their need is noted."""

    async def _need(self, info: BlobInfo, owner_kind: str, owner_id: str, name: str) -> bool:
        await super()._need(info, owner_kind, owner_id, name)
        return True


class Forgetful(BlobReferences):
    """A planted bug: bytes are forgotten before they are deleted, and a crash between the two is not thought of."""

    async def _remove(self, sha256: str) -> bool:
        async with self._alone(sha256):
            if await self._ledger.is_referenced(sha256):
                return False
            await self._ledger.forget_blob(sha256)
            await self._blobs.delete(sha256)
            return True

    async def sweep_unknown(self, older_than_seconds: float) -> int:
        del older_than_seconds
        return 0


def drawn(seed: int) -> Steps:
    """Steps in which things meet more often than in those that hypothesis makes small."""
    chance = random.Random(seed)

    def step() -> Step:
        operations = [(chance.choice(NAMES), chance.randrange(12)) for _ in range(chance.randint(1, 3))]
        crash = (chance.randrange(9), chance.choice(get_args(How))) if chance.random() < 0.4 else None
        return operations, crash, chance.randrange(2**16)

    return [step() for _ in range(chance.randint(10, 25))]


@pytest.mark.timeout(300)
def test_nothing_is_lost_under_load() -> None:
    for seed in range(400):
        in_memory(drawn(seed))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", [Unlocked, Trusting, Unsure, Forgetful])
def test_each_planted_bug_is_found(bug: type[BlobReferences]) -> None:
    for seed in range(5000):
        try:
            in_memory(drawn(seed), bug)
        except (AssertionError, NotFound):
            return
    pytest.fail(f"nothing showed the bug {bug.__name__}")
