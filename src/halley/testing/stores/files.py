"""The promises of `assets.ports.FileStore` and `assets.ports.BlobLedger`."""

from datetime import timedelta

import pytest

from halley.assets.ports import BlobLedger, FileStore, Reference, StoredFile
from halley.testing.stores.maker import Maker

A, B = "a" * 64, "b" * 64


@pytest.mark.anyio
class FileStoreContract:
    """What every implementation of `FileStore` must do. Give `files`."""

    @pytest.fixture
    def files(self) -> FileStore:
        raise NotImplementedError

    @pytest.fixture
    def maker(self) -> Maker:
        return Maker()

    def file(self, maker: Maker, account_id: str = "anna", life_seconds: float = 60.0) -> StoredFile:
        maker.clock.advance(1)
        return StoredFile(
            id=maker.new_id(),
            account_id=account_id,
            name="Bild ä.png",
            content_type="image/png",
            size_bytes=3,
            sha256=A,
            metadata={"camera": "ü"},
            created_at=maker.clock.now(),
            expires_at=maker.clock.now() + timedelta(seconds=life_seconds),
        )

    async def test_a_file_comes_back_whole(self, files: FileStore, maker: Maker) -> None:
        file = self.file(maker)
        await files.insert(file)
        assert await files.get(file.id) == file
        assert await files.get("absent") is None

    async def test_a_file_is_deleted_once(self, files: FileStore, maker: Maker) -> None:
        file = self.file(maker)
        await files.insert(file)
        assert await files.delete(file.id)
        assert not await files.delete(file.id)
        assert await files.get(file.id) is None

    async def test_files_are_listed_newest_first(self, files: FileStore, maker: Maker) -> None:
        made = [self.file(maker) for _ in range(5)]
        for file in [*made, self.file(maker, "bert")]:
            await files.insert(file)
        first = await files.list("anna", None, 3)
        assert list(first) == made[:1:-1]
        assert list(await files.list("anna", first[-1].id, 3)) == [made[1], made[0]]
        assert list(await files.list("carl", None, 3)) == []

    async def test_the_expired_are_found_oldest_first(self, files: FileStore, maker: Maker) -> None:
        late, soon, next_ = self.file(maker, life_seconds=900), self.file(maker), self.file(maker)
        for file in (late, soon, next_):
            await files.insert(file)
        assert list(await files.expired(soon.expires_at - timedelta(microseconds=1), 9)) == []
        assert list(await files.expired(soon.expires_at, 9)) == [soon]
        assert list(await files.expired(late.expires_at, 2)) == [soon, next_]
        assert list(await files.expired(late.expires_at, None)) == [soon, next_, late]

    async def test_a_prolonged_file_expires_later_and_never_earlier(self, files: FileStore, maker: Maker) -> None:
        file = self.file(maker)
        await files.insert(file)
        for seconds, added in ((600, 600), (60, 600), (-999, 600)):
            await files.prolong(file.id, file.expires_at + timedelta(seconds=seconds))
            found = await files.get(file.id)
            assert found is not None
            assert found.expires_at == file.expires_at + timedelta(seconds=added)
        assert list(await files.expired(file.expires_at, 9)) == []
        await files.prolong("absent", file.expires_at)


@pytest.mark.anyio
class BlobLedgerContract:
    """What every implementation of `BlobLedger` must do. Give `ledger`."""

    @pytest.fixture
    def ledger(self) -> BlobLedger:
        raise NotImplementedError

    async def test_a_need_is_noted_once(self, ledger: BlobLedger) -> None:
        assert not await ledger.is_referenced(A)
        for _ in range(2):
            await ledger.add_reference(A, 3, "file", "f1", "a.png")
        assert await ledger.is_referenced(A)
        assert await ledger.drop_references("file", "f1") == [A]
        assert not await ledger.is_referenced(A)

    async def test_bytes_stay_referenced_while_an_owner_needs_them(self, ledger: BlobLedger) -> None:
        await ledger.add_reference(A, 3, "file", "same", "a.png")
        await ledger.add_reference(A, 3, "prediction", "same", "0.png")
        await ledger.add_reference(B, 4, "prediction", "same", "1.png")
        assert await ledger.drop_references("prediction", "same") == [B]
        assert await ledger.is_referenced(A)
        assert await ledger.unreferenced(9) == [B]
        assert await ledger.drop_references("prediction", "same") == []

    async def test_one_owner_may_need_the_same_bytes_under_two_names(self, ledger: BlobLedger) -> None:
        await ledger.add_reference(A, 3, "prediction", "p", "0.png")
        await ledger.add_reference(A, 3, "prediction", "p", "1.png")
        assert await ledger.drop_references("prediction", "p") == [A]

    async def test_unreferenced_contents_stay_listed_until_their_record_is_removed(self, ledger: BlobLedger) -> None:
        for sha256 in (A, B):
            await ledger.add_reference(sha256, 3, "file", sha256, "x")
            await ledger.drop_references("file", sha256)
        assert await ledger.unreferenced(9) == [A, B]
        assert len(await ledger.unreferenced(1)) == 1
        await ledger.forget_blob(A)
        assert await ledger.unreferenced(9) == [B]
        await ledger.forget_blob(A)

    async def test_what_is_needed_again_is_not_forgotten(self, ledger: BlobLedger) -> None:
        await ledger.add_reference(A, 3, "file", "f1", "x")
        await ledger.drop_references("file", "f1")
        await ledger.add_reference(A, 3, "file", "f2", "x")
        await ledger.forget_blob(A)
        assert await ledger.is_referenced(A)
        assert await ledger.drop_references("file", "f2") == [A]
        assert await ledger.unreferenced(9) == [A]

    async def test_it_is_known_whether_others_need_the_same(self, ledger: BlobLedger) -> None:
        for sha256, kind, owner, name in ((A, "file", "f", "a"), (A, "file", "f", "b"), (B, "file", "f", "a")):
            await ledger.add_reference(sha256, 3, kind, owner, name)
        await ledger.add_reference(B, 3, "prediction", "f", "a")
        assert await ledger.owners(A) == {("file", "f")}
        assert await ledger.owners(B) == {("file", "f"), ("prediction", "f")}
        assert await ledger.owners("c" * 64) == set()

    async def test_needs_are_found_by_owner_and_by_bytes(self, ledger: BlobLedger) -> None:
        for sha256, kind, owner, name in ((A, "file", "f", "a"), (A, "input", "p", "b"), (B, "input", "p", "c")):
            await ledger.add_reference(sha256, 3, kind, owner, name)
        a, b = Reference(sha256=A, name="b"), Reference(sha256=B, name="c")
        assert sorted(await ledger.references("input", "p"), key=lambda one: one.name) == [a, b]
        assert await ledger.references("file", "p") == []
        assert await ledger.needs(A, "input") == [a]
        assert await ledger.needs(B, "file") == []

    async def test_what_is_noted_is_known_whether_it_is_needed_or_not(self, ledger: BlobLedger) -> None:
        await ledger.add_reference(A, 3, "file", "f1", "x")
        await ledger.add_reference(B, 3, "file", "f2", "x")
        await ledger.drop_references("file", "f1")
        assert await ledger.known([A, B, "c" * 64]) == {A, B}
        assert await ledger.known([]) == set()
        await ledger.forget_blob(A)
        assert await ledger.known([A, B]) == {B}

    async def test_unreferenced_contents_are_listed_from_a_position(self, ledger: BlobLedger) -> None:
        for sha256 in (B, A, "c" * 64):
            await ledger.add_reference(sha256, 3, "file", sha256, "x")
            await ledger.drop_references("file", sha256)
        assert await ledger.unreferenced(1) == [A]
        assert await ledger.unreferenced(9, A) == [B, "c" * 64]
        assert await ledger.unreferenced(9, "c" * 64) == []
