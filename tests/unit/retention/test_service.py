"""When the service looks, what it lives through, and how it makes room on a full disk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import pytest

from halley.assets.blob_references import BlobReferences
from halley.assets.files import Files
from halley.assets.holding import to_hold, upload
from halley.blobs.memory import MemoryBlobs
from halley.bus.local import LocalBus
from halley.errors import NotFound, Overloaded, StorageFull
from halley.ids import TimeOrderedIds
from halley.predictions.ports import NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.status import Fact
from halley.retention.periods import Periods
from halley.retention.ports import Removed
from halley.retention.retention_clock import SETTLE_SECONDS
from halley.retention.service import LONGEST_LOOK_SECONDS, SHORTEST_LOOK_SECONDS, RetentionService
from halley.settings import RetentionSettings
from halley.store.memory import MemoryStore
from halley.store.memory.files import MemoryFiles
from halley.testing.blobs import stream
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio
HOUR = 3600.0


class Trouble:
    """A store in front of another, that refuses removals for one reason or another."""

    def __init__(self, behind: MemoryStore, blobs: MemoryBlobs) -> None:
        self._behind = behind
        self._blobs = blobs
        self.room = 99  # stored contents with which the disk is not full yet
        self.refusals = 0
        self.is_deaf = False  # removes nothing, and says so
        self.asked: list[tuple[str, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def remove_data(self, prediction_ids: Sequence[str], at: datetime) -> Removed:
        self.asked.append(tuple(prediction_ids))
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("too much to do")
        await self._write()
        return Removed() if self.is_deaf else await self._behind.remove_data(prediction_ids, at)

    async def add_reference(self, *args: Any) -> None:
        await self._write()
        await self._behind.add_reference(*args)

    async def drop_references(self, *args: Any) -> Any:
        await self._write()
        return await self._behind.drop_references(*args)

    async def forget_blob(self, sha256: str) -> None:
        await self._write()
        await self._behind.forget_blob(sha256)

    async def delete(self, file_id: str) -> bool:
        await self._write()
        return await self._behind.files.delete(file_id)

    async def prolong(self, *args: Any) -> None:
        await self._write()
        await self._behind.files.prolong(*args)

    async def _write(self) -> None:
        if len(await self._blobs.stored("", 99, 0)) > self.room:
            raise StorageFull("no room")


class TroubledFiles:
    """The uploads of that store."""

    def __init__(self, trouble: Trouble, behind: MemoryFiles) -> None:
        self.delete, self.prolong = trouble.delete, trouble.prolong
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


class Rig:
    """The service, and what is under it."""

    def __init__(self, retention: RetentionSettings) -> None:
        self.clock = FakeClock()
        self.behind = MemoryStore()
        self.blobs = MemoryBlobs()
        self.store = Trouble(self.behind, self.blobs)
        self.blob_references = BlobReferences(blobs=self.blobs, ledger=self.store)  # type: ignore[arg-type]
        self.new_id = TimeOrderedIds(self.clock)
        self.files = Files(
            store=TroubledFiles(self.store, self.behind.files),  # type: ignore[arg-type]
            blob_references=self.blob_references,
            blobs=self.blobs,
            clock=self.clock,
            new_id=self.new_id,
            upload_limit_bytes=100,
            life_seconds=24 * HOUR,
        )
        self.retention = RetentionService(
            store=self.store,
            blob_references=self.blob_references,
            uploads=self.files,
            periods=Periods(settings=retention, model_settings={}, keys=self.behind, models=self.behind),
            bus=LocalBus(),
            clock=self.clock,
        )

    async def finished(self, *contents: bytes) -> str:
        """A prediction that is over, with these output files."""
        row = Prediction(
            id=self.new_id(), account_id="anna", model="m/m", version="a" * 64, input=b"{}", created_at=self.clock.now()
        )
        made = await self.behind.create(NewPrediction(prediction=row, session_id="s"))
        for number, data in enumerate(contents):
            await self.keep("prediction", row.id, data, str(number))
        assert made.lease is not None
        await self.behind.finish(made.lease, Fact.FAILED, self.clock.now())
        return row.id

    async def keep(self, kind: str, owner_id: str, data: bytes, name: str = "x") -> str:
        info = await self.blob_references.keep_stream(stream(data), 99, owner_kind=kind, owner_id=owner_id, name=name)
        return info.sha256

    async def uploaded(self, data: bytes) -> str:
        return (await self.files.create("anna", stream(data), name="x", content_type="")).id

    async def has_data(self, prediction_id: str) -> bool:
        row = await self.behind.get(prediction_id)
        assert row is not None
        return row.data_removed_at is None

    async def stored(self) -> int:
        return len(await self.blobs.stored("", 99, 0))


async def turns() -> None:
    """Let everybody do what can be done now."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture
async def rig() -> Rig:
    made = Rig(RetentionSettings(api="1h"))
    await made.behind.open_session("s", made.clock.now(), 1e9)
    assert await made.retention.look() == 0
    return made


@pytest.fixture
async def going(rig: Rig) -> AsyncIterator[Rig]:
    """The same, and the service runs."""
    task = asyncio.ensure_future(rig.retention.run())
    await turns()
    yield rig
    assert not task.done(), "the service has ended"
    task.cancel()


async def test_it_continues_after_a_refusal(going: Rig) -> None:
    prediction_id = await going.finished(b"one")
    going.store.refusals = 2
    going.clock.advance(HOUR)
    await turns()
    assert len(going.store.asked) == 1
    for _ in range(2):
        assert await going.has_data(prediction_id)
        going.clock.advance(LONGEST_LOOK_SECONDS)
        await turns()
    assert not await going.has_data(prediction_id)
    assert await going.stored() == 0


@pytest.mark.parametrize(
    ("api", "seconds"),
    [("never", LONGEST_LOOK_SECONDS), ("30d", LONGEST_LOOK_SECONDS), ("10m", 10.0), ("5s", SHORTEST_LOOK_SECONDS)],
)
async def test_it_looks_more_often_for_short_periods(api: str, seconds: float) -> None:
    rig = Rig(RetentionSettings(api=api))
    looks = 0

    async def count() -> list[object]:
        nonlocal looks
        looks += 1
        return []

    rig.store.data_groups = count
    task = asyncio.ensure_future(rig.retention.run())
    await turns()
    assert looks == 1
    rig.clock.advance(seconds - 0.01)
    await turns()
    assert looks == 1
    rig.clock.advance(0.01)
    await turns()
    assert looks == 2
    task.cancel()


async def test_a_store_that_removes_nothing_is_asked_a_bounded_number_of_times(rig: Rig) -> None:
    prediction_id = await rig.finished()
    rig.store.is_deaf = True
    rig.clock.advance(HOUR)
    assert await rig.retention.look() == 0
    assert rig.store.asked == [(prediction_id,)]


async def test_on_a_full_disk_files_of_due_predictions_are_deleted(going: Rig) -> None:
    due = await going.finished(b"one", b"shared with an upload", b"shared with a younger one")
    going.clock.advance(HOUR / 2)
    younger = await going.finished(b"shared with a younger one", b"of the younger one")
    uploaded = await going.keep("file", going.new_id(), b"shared with an upload")
    assert await going.stored() == 4
    going.store.room = 3
    going.clock.advance(HOUR / 2)
    await turns()
    assert going.store.asked == [(due,), (due,)]
    assert (await going.has_data(due), await going.has_data(younger)) == (False, True)
    needed = {one.sha256 for one in await going.blob_references.references("prediction", younger)} | {uploaded}
    assert set(await going.blobs.stored("", 99, 0)) == needed
    assert len(needed) == 3


async def test_on_a_full_disk_expired_uploads_are_deleted(going: Rig) -> None:
    over = [await going.uploaded(data) for data in (b"one", b"twice", b"twice", b"held", b"was held", b"shared")]
    held, was_held = [await going.files.get("anna", file_id) for file_id in over[3:5]]
    done = await going.finished()
    for file, prediction_id in ((held, "waits"), (was_held, done)):
        need = to_hold(upload(file.id), file)
        await going.behind.add_reference(need.sha256, 4, "input", prediction_id, need.name)
    going.clock.advance(12 * HOUR)
    younger = [await going.uploaded(data) for data in (b"shared", b"younger")]
    going.store.room = 4
    going.clock.advance(12 * HOUR)
    await turns()
    alive = [file.id for file in await going.files.list("anna", None, 99)]
    assert sorted(alive) == sorted([held.id, *younger])
    assert [one.id for one in await going.behind.files.list("anna", None, 99)] == alive, "the rows are gone as well"
    kept = [await going.files.get("anna", file_id) for file_id in alive]
    assert set(await going.blobs.stored("", 99, 0)) == {file.sha256 for file in kept}
    assert len({file.sha256 for file in kept}) == 3


async def test_nothing_that_made_room_can_be_seen_while_its_row_has_to_stay(going: Rig) -> None:
    over = await going.uploaded(b"one")
    going.clock.advance(1)
    younger = await going.uploaded(b"younger")
    going.store.room = -1
    going.clock.advance(24 * HOUR - 1)
    going.clock.advance(0)
    await turns()
    assert await going.stored() == 1
    assert await going.behind.files.get(over) is not None
    with pytest.raises(NotFound):
        await going.files.get("anna", over)
    assert [file.id for file in await going.files.list("anna", None, 99)] == [younger]


async def test_space_is_freed_after_any_number_of_rows_without_files(going: Rig) -> None:
    for _ in range(600):
        await going.finished()
    due = await going.finished(b"one")
    going.store.room = 0
    going.clock.advance(HOUR)
    for _ in range(50):
        await turns()
        going.clock.advance(1)
    assert not await going.has_data(due)
    assert await going.stored() == 0


async def test_unreferenced_files_after_a_refusal_are_deleted(going: Rig) -> None:
    """The needs were dropped, and then there was no room to forget the bytes."""
    for data in (b"one", b"two"):
        await going.keep("file", "gone", data)
    await going.behind.drop_references("file", "gone")
    await going.finished(b"three")
    going.store.room = 0
    going.clock.advance(HOUR)
    await turns()
    assert await going.stored() == 0


async def test_the_server_waits_until_a_full_disk_has_space(going: Rig, caplog: pytest.LogCaptureFixture) -> None:
    due, others = await going.finished(b"one"), await going.keep("file", going.new_id(), b"other")
    going.store.room = -1
    going.clock.advance(HOUR)
    await turns()
    assert await going.has_data(due)
    assert (await going.stored(), await going.blobs.exists(others)) == (1, True)
    going.clock.advance(LONGEST_LOOK_SECONDS)
    await turns()
    assert "could not be removed now" in caplog.text
    assert "deleted 1 files" in caplog.text
    going.store.room = 99
    going.clock.advance(LONGEST_LOOK_SECONDS)
    await turns()
    assert not await going.has_data(due)


async def test_a_clock_jump_deletes_nothing(going: Rig) -> None:
    due = await going.finished(b"one")
    going.store.room = -1
    going.clock.jump(24 * HOUR)
    going.clock.advance(LONGEST_LOOK_SECONDS)
    await turns()
    assert await going.stored() == 1
    going.clock.jump(-24 * HOUR)
    going.clock.advance(SETTLE_SECONDS / 2)
    await turns()
    assert (await going.stored(), await going.has_data(due)) == (1, True)
