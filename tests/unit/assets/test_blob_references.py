"""Bytes live exactly as long as somebody needs them, whoever comes and goes at the same time."""

import hashlib
from pathlib import Path

import anyio
import pytest

from halley.assets.blob_references import BlobReferences
from halley.assets.ports import BlobInfo
from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.errors import Overloaded, StorageFull, TooLarge
from halley.testing.blobs import FullBlobs, InspectableLedger, stream

pytestmark = pytest.mark.anyio
DIGEST = hashlib.sha256(b"same").hexdigest()


class LateBlobs(MemoryBlobs):
    """Blobs that stop after storing and before saying so, where a test lets something else happen."""

    def __init__(self) -> None:
        super().__init__()
        self.stored_one = anyio.Event()
        self.go_on = anyio.Event()
        self.go_on.set()

    def _keep(self, data: bytes) -> BlobInfo:
        return super()._keep(data)

    async def adopt(self, path: Path, *, take: bool = False, source: int | None = None) -> BlobInfo:
        return await self._late(await super().adopt(path, take=take, source=source))

    async def put(self, chunks: object, limit_bytes: int) -> BlobInfo:
        return await self._late(await super().put(chunks, limit_bytes))  # type: ignore[arg-type]

    async def _late(self, info: BlobInfo) -> BlobInfo:
        self.stored_one.set()
        await self.go_on.wait()
        return info


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made.txt"
    path.write_bytes(b"same")
    return path


async def test_bytes_go_with_their_last_owner(made: Path) -> None:
    blobs, ledger = MemoryBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    await blob_references.keep_file(made, owner_kind="prediction", owner_id="a", name="one.txt")
    await blob_references.keep_stream(stream(b"same"), 4, owner_kind="file", owner_id="b", name="two.txt")
    assert ledger.noted(DIGEST) == [("file", "b", "two.txt"), ("prediction", "a", "one.txt")]
    assert await blob_references.release("prediction", "a") == 0
    assert await blobs.exists(DIGEST)
    assert await blob_references.release("prediction", "a") == 0
    assert await blob_references.release("file", "b") == 1
    assert not await blobs.exists(DIGEST)
    assert await ledger.unreferenced(10) == []


async def test_a_file_stored_while_its_bytes_are_deleted_exists_afterwards(made: Path) -> None:
    blobs, ledger = LateBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    await blob_references.keep_file(made, owner_kind="prediction", owner_id="old", name="x")
    blobs.stored_one = anyio.Event()
    blobs.go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: blob_references.keep_file(made, owner_kind="prediction", owner_id="new", name="x"))
        await blobs.stored_one.wait()
        # the bytes are there, but the need of the new owner is not noted yet
        assert await blob_references.release("prediction", "old") == 1
        assert not await blobs.exists(DIGEST)
        blobs.go_on.set()
    assert await blobs.exists(DIGEST)
    assert ledger.noted(DIGEST) == [("prediction", "new", "x")]


async def test_a_stream_that_meets_the_end_of_its_bytes_may_be_sent_again(made: Path) -> None:
    blobs, ledger = LateBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    await blob_references.keep_file(made, owner_kind="prediction", owner_id="old", name="x")
    blobs.stored_one = anyio.Event()
    blobs.go_on = anyio.Event()
    refused: list[Overloaded] = []

    async def upload() -> None:
        try:
            await blob_references.keep_stream(stream(b"same"), 4, owner_kind="file", owner_id="new", name="x")
        except Overloaded as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upload)
        await blobs.stored_one.wait()
        await blob_references.release("prediction", "old")
        blobs.go_on.set()
    assert "Send them again" in str(refused[0])
    assert ledger.noted(DIGEST) == []
    await upload()
    assert await blobs.exists(DIGEST)


async def test_what_a_crash_left_without_owner_is_swept() -> None:
    blobs, ledger = MemoryBlobs(), InspectableLedger()
    info = await blobs.put(stream(b"same"), 4)
    await ledger.add_reference(info.sha256, 4, "prediction", "a", "x")
    await ledger.drop_references("prediction", "a")  # and then the server died
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    assert await blob_references.sweep() == 1
    assert await blob_references.sweep() == 0
    assert not await blobs.exists(DIGEST)


async def test_nothing_is_noted_of_what_was_not_stored(made: Path) -> None:
    blobs, ledger = FullBlobs(MemoryBlobs()), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    blobs.full = True
    with pytest.raises(StorageFull):
        await blob_references.keep_file(made, owner_kind="prediction", owner_id="a", name="x")
    blobs.full = False
    with pytest.raises(TooLarge):
        await blob_references.keep_stream(stream(b"same"), 3, owner_kind="file", owner_id="a", name="x")
    assert ledger.noted(DIGEST) == []


class FullLedger(InspectableLedger):
    """A ledger whose disk is full."""

    async def add_reference(self, *_: object) -> None:
        raise StorageFull("no room")


async def test_bytes_whose_need_could_not_be_noted_do_not_stay(made: Path) -> None:
    blobs, ledger = MemoryBlobs(), FullLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    with pytest.raises(StorageFull):
        await blob_references.keep_file(made, owner_kind="prediction", owner_id="a", name="one.txt")
    with pytest.raises(StorageFull):
        await blob_references.keep_stream(stream(b"same"), 4, owner_kind="file", owner_id="b", name="two.txt")
    assert await blobs.stored("", 9, 0) == []
    await InspectableLedger.add_reference(ledger, DIGEST, 4, "file", "c", "x")
    with pytest.raises(StorageFull):
        await blob_references.keep_file(made, owner_kind="prediction", owner_id="a", name="one.txt")
    assert await blobs.stored("", 9, 0) == [DIGEST]


async def test_space_is_freed_from_unreferenced_files(made: Path) -> None:
    blobs, ledger = MemoryBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    for name in ("one.txt", "two.txt"):
        await blob_references.keep_file(made, owner_kind="prediction", owner_id="a", name=name)
    await blob_references.keep_stream(stream(b"else"), 4, owner_kind="prediction", owner_id="a", name="three.txt")
    await blob_references.keep_file(made, owner_kind="prediction", owner_id="b", name="one.txt")
    noted = sorted(ledger.owned)
    assert await blob_references.make_room({("prediction", "a")}) == 1
    assert await blobs.stored("", 9, 0) == [DIGEST]
    assert await blob_references.make_room({("prediction", "a")}) == 0
    assert await blob_references.make_room({("prediction", "a"), ("input", "b")}) == 0
    assert sorted(ledger.owned) == noted
    assert await blob_references.make_room({("prediction", "a"), ("prediction", "b")}) == 1
    assert sorted(ledger.owned) == noted
    assert await blob_references.release("prediction", "b") == 0
    assert await blob_references.release("prediction", "a") == 2


async def test_space_is_freed_from_files_that_a_crash_left(made: Path) -> None:
    blobs, ledger = MemoryBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    await blob_references.keep_file(made, owner_kind="prediction", owner_id="a", name="one.txt")
    kept = await blob_references.keep_stream(
        stream(b"else"), 4, owner_kind="prediction", owner_id="b", name="three.txt"
    )
    await ledger.drop_references("prediction", "a")
    assert await blob_references.make_room_of_unneeded() == 1
    assert await blobs.stored("", 9, 0) == [kept.sha256]
    assert await blob_references.make_room_of_unneeded() == 0
    assert await ledger.unreferenced(9) == [DIGEST], "the note goes when there is room"
    assert await blob_references.sweep() == 1


async def test_no_lock_is_left_behind(made: Path) -> None:
    blob_references = BlobReferences(blobs=MemoryBlobs(), ledger=InspectableLedger())

    async def keep_and_release(owner: str) -> None:
        await blob_references.keep_file(made, owner_kind="prediction", owner_id=owner, name="x")
        await blob_references.release("prediction", owner)

    async with anyio.create_task_group() as tasks:
        for owner in "abcdef":
            tasks.start_soon(keep_and_release, owner)
    assert blob_references._locks == {}


async def test_what_was_stored_and_never_noted_is_swept_once_it_is_old(tmp_path: Path) -> None:
    blobs, ledger = FileBlobs(tmp_path), InspectableLedger()
    blobs.prepare()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    kept = await blob_references.keep_stream(stream(b"kept"), 9, owner_kind="file", owner_id="a", name="x")
    orphans = [await blobs.put(stream(bytes([number])), 9) for number in range(5)]
    assert await blob_references.sweep_unknown(3600) == 0, "its owner may be about to be noted"
    assert await blob_references.sweep_unknown(0) == 5
    assert await blobs.stored("", 99, 0) == [kept.sha256]
    assert not any([await blobs.exists(info.sha256) for info in orphans])
    assert await blob_references.sweep() == 0


async def test_a_file_kept_while_it_is_swept_is_there_at_the_end(made: Path) -> None:
    blobs, ledger = LateBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    blobs.go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: blob_references.keep_file(made, owner_kind="prediction", owner_id="new", name="x"))
        await blobs.stored_one.wait()
        assert await blob_references.sweep_unknown(0) == 1, "its need is not noted yet"
        blobs.go_on.set()
    assert await blobs.exists(DIGEST)
    assert ledger.noted(DIGEST) == [("prediction", "new", "x")]


async def test_many_leftovers_are_swept_in_portions() -> None:
    blobs, ledger = MemoryBlobs(), InspectableLedger()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    for number in range(1200):
        info = await blobs.put(stream(number.to_bytes(4)), 4)
        await ledger.add_reference(info.sha256, 4, "file", str(number), "x")
        if number % 3:
            await ledger.drop_references("file", str(number))
    assert await blob_references.sweep() == 800
    assert len(await blobs.stored("", 9999, 0)) == 400


class PausingLedger(InspectableLedger):
    """A ledger that stops after it was asked whether bytes are needed, before the asker hears the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.was_asked, self.go_on = anyio.Event(), anyio.Event()

    async def is_referenced(self, sha256: str) -> bool:
        found = await super().is_referenced(sha256)
        self.was_asked.set()
        await self.go_on.wait()
        return found


async def meet_a_removal(made: Path, folder: Path, *, apart: bool) -> FileBlobs:
    """One process notes a need while another one, which has found none, is about to delete the bytes."""
    blobs, ledger = FileBlobs(folder), PausingLedger()
    blobs.prepare()
    alone = blobs.alone if apart else None
    one, other = (BlobReferences(blobs=blobs, ledger=ledger, alone=alone) for _ in range(2))
    await one.keep_file(made, owner_kind="prediction", owner_id="old", name="x")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.release, "prediction", "old")
        await ledger.was_asked.wait()
        tasks.start_soon(lambda: other.keep_file(made, owner_kind="prediction", owner_id="new", name="x"))
        await anyio.sleep(0.1)  # it comes to its end, or to the lock
        ledger.go_on.set()
    assert ledger.noted(DIGEST) == [("prediction", "new", "x")]
    return blobs


async def test_another_process_does_not_delete_what_this_one_needs(made: Path, tmp_path: Path) -> None:
    blobs = await meet_a_removal(made, tmp_path / "blobs", apart=True)
    assert await blobs.exists(DIGEST)


async def test_without_the_lock_between_processes_needed_bytes_are_deleted(made: Path, tmp_path: Path) -> None:
    blobs = await meet_a_removal(made, tmp_path / "blobs", apart=False)
    assert not await blobs.exists(DIGEST), "the test above would show nothing"
