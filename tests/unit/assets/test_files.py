"""Uploaded files: whose they are, how they are named, when they end."""

from itertools import count
from pathlib import Path

import pytest

from halley.assets.blob_references import BlobReferences
from halley.assets.files import Files
from halley.assets.holding import to_hold, upload
from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.errors import InputInvalid, NotFound, StorageFull, TooLarge
from halley.store.memory.files import MemoryFiles
from halley.testing.blobs import FullBlobs, InspectableLedger, stream
from halley.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class Bench:
    """The use cases over doubles."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryFiles()
        self.blobs = FullBlobs(MemoryBlobs())
        numbers = count(1)
        self.ledger = InspectableLedger()
        self.blob_references = BlobReferences(blobs=self.blobs, ledger=self.ledger)
        self.files = Files(
            store=self.store,
            blob_references=self.blob_references,
            blobs=self.blobs,
            clock=self.clock,
            new_id=lambda: f"{next(numbers):026}",
            upload_limit_bytes=10,
            life_seconds=3600,
        )

    async def upload(self, account_id: str = "me", data: bytes = b"data", name: str = "a.txt") -> str:
        file = await self.files.create(account_id, stream(data), name=name, content_type="Text/Plain; charset=x")
        return file.id


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_an_upload_comes_back_as_it_was_stored(bench: Bench) -> None:
    file = await bench.files.create(
        "me", stream(b"da", b"ta"), name="a.txt", content_type="text/plain", metadata={"a": "1"}
    )
    assert await bench.files.get("me", file.id) == file
    assert (file.size_bytes, file.metadata, file.content_type) == (4, {"a": "1"}, "text/plain")
    assert (file.expires_at - file.created_at).total_seconds() == 3600
    assert b"".join([chunk async for chunk in bench.files.open(file)]) == b"data"
    assert bench.files.path(file) is None


async def test_an_upload_that_is_a_file_already_is_taken_as_it_is(bench: Bench, tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    blobs.prepare()
    folder = blobs.drafts()
    assert folder is not None
    (folder / "draft").write_bytes(b"data")
    files = Files(
        store=bench.store,
        blob_references=BlobReferences(blobs=blobs, ledger=InspectableLedger()),
        blobs=blobs,
        clock=bench.clock,
        new_id=lambda: "a" * 26,
        upload_limit_bytes=10,
    )
    file = await files.create("me", folder / "draft", name="a.txt", content_type="text/plain")
    kept = files.path(file)
    assert file.size_bytes == 4
    assert kept is not None
    assert kept.samefile(folder / "draft"), "hard-linked, not copied"


async def test_another_account_sees_nothing(bench: Bench) -> None:
    file_id = await bench.upload("me")
    with pytest.raises(NotFound) as foreign:
        await bench.files.get("you", file_id)
    with pytest.raises(NotFound):
        await bench.files.delete("you", file_id)
    assert await bench.files.list("you", None, 10) == []
    await bench.files.delete("me", file_id)
    with pytest.raises(NotFound) as gone:
        await bench.files.get("you", file_id)
    assert str(foreign.value) == str(gone.value)


async def test_files_are_listed_newest_first_page_by_page(bench: Bench) -> None:
    ids = [await bench.upload(data=bytes([number])) for number in range(5)]
    await bench.upload("you")
    first = await bench.files.list("me", None, 2)
    second = await bench.files.list("me", first[-1].id, 9)
    assert [file.id for file in [*first, *second]] == ids[::-1]


async def test_a_deleted_file_takes_its_bytes_unless_others_need_them(bench: Bench) -> None:
    one, two = await bench.upload(), await bench.upload("you")
    sha256 = (await bench.files.get("me", one)).sha256
    await bench.files.delete("me", one)
    assert await bench.blobs.exists(sha256)
    await bench.files.delete("you", two)
    assert not await bench.blobs.exists(sha256)


async def test_an_expired_file_is_absent_at_once_and_removed_later(bench: Bench) -> None:
    file_id = await bench.upload()
    sha256 = (await bench.files.get_signed(file_id)).sha256
    bench.clock.advance(3600)
    for ask in (bench.files.get("me", file_id), bench.files.get_signed(file_id), bench.files.delete("me", file_id)):
        with pytest.raises(NotFound):
            await ask
    assert await bench.files.list("me", None, 10) == []
    assert await bench.files.expire(bench.clock.now()) == 1
    assert await bench.files.expire(bench.clock.now()) == 0
    assert not await bench.blobs.exists(sha256)
    assert await bench.store.get(file_id) is None


async def test_names_and_types_are_made_fit(bench: Bench) -> None:
    file = await bench.files.create("me", stream(b"x"), name="../../a\r\nb.txt", content_type="text/html\r\nx: y")
    assert (file.name, file.content_type) == ("_.._ab.txt", "application/octet-stream")


async def test_a_long_name_is_a_fault_and_nothing_is_stored(bench: Bench) -> None:
    with pytest.raises(InputInvalid) as caught:
        await bench.files.create("me", stream(b"x"), name="ü" * 128, content_type="")
    assert caught.value.fields[0].field == "filename"
    assert await bench.files.list("me", None, 10) == []


async def test_a_failed_upload_leaves_no_record(bench: Bench) -> None:
    with pytest.raises(TooLarge):
        await bench.upload(data=b"eleven bytes")
    bench.blobs.full = True
    with pytest.raises(StorageFull):
        await bench.upload()
    assert await bench.files.list("me", None, 10) == []


async def test_a_file_lives_on_while_a_prediction_needs_it(bench: Bench) -> None:
    """Source: contract D28."""
    file_id, other_id = await bench.upload(), await bench.upload(data=b"data")
    file = await bench.files.get("me", file_id)
    need = to_hold(upload(file_id), file)
    await bench.ledger.add_reference(need.sha256, 4, "input", "p", need.name)
    for _ in range(5):
        bench.clock.advance(3600)
        shown = await bench.files.get("me", file_id)
        assert shown.expires_at > bench.clock.now(), "what it says about itself is true"
        assert await bench.store.get(file_id) == shown
        assert await bench.files.get_signed(file_id) == shown
        # the other one is over, and hides nothing while it is still there
        assert [[one.id for one in await bench.files.list("me", None, limit)] for limit in (1, 9)] == [[file_id]] * 2
    assert await bench.files.expire(bench.clock.now()) == 1, "equal bytes are not the same file"
    assert await bench.store.get(other_id) is None
    assert await bench.files.expire(bench.clock.now()) == 0
    await bench.ledger.drop_references("input", "p")
    assert await bench.files.get("me", file_id), "until the time that it told"
    bench.clock.advance(601)
    with pytest.raises(NotFound):
        await bench.files.get("me", file_id)
    assert await bench.files.expire(bench.clock.now()) == 1
    assert await bench.blobs.stored("", 9, 0) == []


async def test_a_file_whose_bytes_were_deleted_to_free_space_stays_absent(bench: Bench) -> None:
    """A create that was on its way noted its need when the bytes were gone already."""
    file_id = await bench.upload()
    file = await bench.files.get("me", file_id)
    bench.clock.advance(3600)
    assert await bench.files.overdue(bench.clock.now()) == [file_id]
    assert await bench.blob_references.make_room({("file", file_id)}) == 1
    need = to_hold(upload(file_id), file)
    await bench.ledger.add_reference(need.sha256, 4, "input", "p", need.name)
    with pytest.raises(NotFound):
        await bench.files.get("me", file_id)
    assert await bench.files.list("me", None, 9) == []
    assert await bench.files.expire(bench.clock.now()) == 1
    assert await bench.store.get(file_id) is None


async def test_a_file_that_was_deleted_stays_for_who_needs_it(bench: Bench) -> None:
    file_id = await bench.upload()
    file = await bench.files.get("me", file_id)
    need = to_hold(upload(file_id), file)
    await bench.ledger.add_reference(need.sha256, 4, "input", "p", need.name)
    await bench.files.delete("me", file_id)
    with pytest.raises(NotFound):
        await bench.files.get("me", file_id)
    assert await bench.blobs.exists(file.sha256)


async def test_an_upload_that_cannot_be_noted_leaves_no_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(bench.store, "insert", refuse)
    with pytest.raises(StorageFull):
        await bench.upload()
    assert await bench.blobs.stored("", 9, 0) == []
