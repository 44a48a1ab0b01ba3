"""The contract suite of `halley.assets.ports.Blobs`, and blobs on a full disk.

Subclass `BlobsContract`, give it a `blobs` fixture, and mark it to run on anyio.
"""

import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from halley.assets.ports import BlobInfo, Blobs
from halley.errors import NotFound, StorageFull, TooLarge
from halley.store.memory import shelves as memory
from halley.store.memory.tables import MemoryTables

ABSENT = "0" * 64


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    """Yield bytes in parts, as an upload does."""
    for part in parts:
        yield part


async def read_all(blobs: Blobs, sha256: str, start: int = 0, end: int | None = None) -> bytes:
    """Read a blob, or a part of it, and close it properly."""
    async with aclosing(blobs.open(sha256, start, end)) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.anyio
class BlobsContract:
    """What every implementation of `Blobs` must do."""

    @pytest.fixture
    def blobs(self) -> Blobs:
        raise NotImplementedError

    async def test_bytes_come_back_under_their_digest(self, blobs: Blobs) -> None:
        info = await blobs.put(stream(b"hel", b"", b"lo"), 5)
        assert info == BlobInfo(sha256=hashlib.sha256(b"hello").hexdigest(), size_bytes=5)
        assert await blobs.exists(info.sha256)
        assert await read_all(blobs, info.sha256) == b"hello"

    async def test_nothing_is_a_content_too(self, blobs: Blobs) -> None:
        info = await blobs.put(stream(), 0)
        assert info.size_bytes == 0
        assert await read_all(blobs, info.sha256) == b""

    async def test_many_megabytes_come_back_whole(self, blobs: Blobs) -> None:
        parts = [bytes([number]) * 300_000 for number in range(9)]
        info = await blobs.put(stream(*parts), 2_700_000)
        assert await read_all(blobs, info.sha256) == b"".join(parts)

    async def test_a_range_is_half_open_and_ends_with_the_bytes(self, blobs: Blobs) -> None:
        info = await blobs.put(stream(b"0123456789"), 10)
        assert await read_all(blobs, info.sha256, 2, 5) == b"234"
        assert await read_all(blobs, info.sha256, 7) == b"789"
        assert await read_all(blobs, info.sha256, 7, 99) == b"789"
        assert await read_all(blobs, info.sha256, 10) == b""
        assert await read_all(blobs, info.sha256, 4, 4) == b""

    async def test_a_range_may_begin_and_end_inside_any_chunk(self, blobs: Blobs) -> None:
        whole = bytes(range(256)) * 10_000
        info = await blobs.put(stream(whole), len(whole))
        assert await read_all(blobs, info.sha256, 1_048_570, 2_097_160) == whole[1_048_570:2_097_160]

    async def test_the_same_bytes_twice_are_kept_once(self, blobs: Blobs) -> None:
        first = await blobs.put(stream(b"same"), 4)
        assert await blobs.put(stream(b"sa", b"me"), 4) == first
        await blobs.delete(first.sha256)
        assert not await blobs.exists(first.sha256)

    async def test_too_much_is_refused_and_leaves_nothing(self, blobs: Blobs) -> None:
        with pytest.raises(TooLarge, match="limit of 4 bytes"):
            await blobs.put(stream(b"hel", b"lo"), 4)
        assert not await blobs.exists(hashlib.sha256(b"hello").hexdigest())
        assert not await blobs.exists(hashlib.sha256(b"hel").hexdigest())

    async def test_a_stream_that_breaks_leaves_nothing(self, blobs: Blobs) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"hel"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await blobs.put(broken(), 10)
        assert not await blobs.exists(hashlib.sha256(b"hel").hexdigest())

    @pytest.mark.parametrize("name", [ABSENT, "", "..", "../../etc/passwd", "A" * 64, "x" * 64, "0" * 63, "0" * 65])
    async def test_unknown_and_odd_names_are_absent(self, blobs: Blobs, name: str) -> None:
        assert not await blobs.exists(name)
        assert blobs.path(name) is None
        await blobs.delete(name)
        with pytest.raises(NotFound):
            await read_all(blobs, name)

    async def test_a_reader_may_finish_what_is_deleted_meanwhile(self, blobs: Blobs) -> None:
        whole = b"x" * 3_000_000
        info = await blobs.put(stream(whole), len(whole))
        async with aclosing(blobs.open(info.sha256)) as chunks:
            read = await anext(chunks)
            await blobs.delete(info.sha256)
            read += b"".join([chunk async for chunk in chunks])
        assert read == whole

    async def test_a_path_has_the_same_bytes(self, blobs: Blobs) -> None:
        info = await blobs.put(stream(b"hello"), 5)
        path = blobs.path(info.sha256)
        assert path is None or await anyio.Path(path).read_bytes() == b"hello"

    async def test_a_descriptor_reads_the_same_bytes_also_when_they_are_deleted(self, blobs: Blobs) -> None:
        info = await blobs.put(stream(b"some bytes"), 10)
        assert blobs.descriptor(ABSENT) is None
        assert blobs.descriptor("../../etc/passwd") is None
        found = blobs.descriptor(info.sha256)
        if found is None:
            return  # they are not in a file
        try:
            await blobs.delete(info.sha256)
            assert os.pread(found, 100, 0) == b"some bytes"
            assert blobs.descriptor(info.sha256) is None
        finally:
            os.close(found)

    async def test_an_adopted_file_stays_where_it_is(self, blobs: Blobs, tmp_path: Path) -> None:
        source = anyio.Path(tmp_path / "made.bin")
        await source.write_bytes(b"made")
        info = await blobs.adopt(Path(source))
        assert await source.read_bytes() == b"made"
        assert info == BlobInfo(sha256=hashlib.sha256(b"made").hexdigest(), size_bytes=4)
        assert await read_all(blobs, info.sha256) == b"made"

    async def test_an_adopted_file_that_changes_later_does_not_change_the_blob(
        self, blobs: Blobs, tmp_path: Path
    ) -> None:
        source = anyio.Path(tmp_path / "made.bin")
        await source.write_bytes(b"made")
        info = await blobs.adopt(Path(source))
        await source.write_bytes(b"else")
        assert await read_all(blobs, info.sha256) == b"made"

    async def test_an_open_file_is_adopted_whatever_its_path_leads_to(self, blobs: Blobs, tmp_path: Path) -> None:
        source = tmp_path / "made.bin"
        for take in (False, True):
            source.unlink(missing_ok=True)
            source.write_bytes(b"made")
            opened = os.open(source, os.O_RDONLY)
            source.unlink()
            source.symlink_to("/etc/hostname")
            info = await blobs.adopt(source, take=take, source=opened)
            os.close(opened)
            assert await read_all(blobs, info.sha256) == b"made"

    async def test_a_taken_file_is_kept_when_its_folder_goes(self, blobs: Blobs, tmp_path: Path) -> None:
        source = anyio.Path(tmp_path / "made.bin")
        await source.write_bytes(b"made" * 500_000)
        info = await blobs.adopt(Path(source), take=True)
        await source.unlink()
        assert info.size_bytes == 2_000_000
        assert await read_all(blobs, info.sha256) == b"made" * 500_000

    async def test_what_is_no_regular_file_is_not_adopted(self, blobs: Blobs, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(b"x")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        for path in (tmp_path, tmp_path / "absent", tmp_path / "link"):
            with pytest.raises(OSError):  # the port guarantees no more
                await blobs.adopt(path)

    async def test_what_is_stored_is_listed_in_order_and_by_age(self, blobs: Blobs) -> None:
        names = sorted([(await blobs.put(stream(bytes([number])), 1)).sha256 for number in range(40)])
        assert await blobs.stored("", 99, 0) == names
        assert await blobs.stored("", 7, 0) == names[:7]
        assert await blobs.stored(names[6], 7, 0) == names[7:14]
        assert await blobs.stored(names[-1], 7, 0) == []
        assert await blobs.stored("", 99, 3600) == []
        await blobs.delete(names[0])
        assert await blobs.stored("", 1, 0) == names[1:2]

    async def test_many_writers_of_the_same_bytes_agree(self, blobs: Blobs) -> None:
        found: list[BlobInfo] = []

        async def write() -> None:
            found.append(await blobs.put(stream(b"same" * 100_000), 400_000))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(write)
        assert len(found) == 8
        assert len(set(found)) == 1
        assert await read_all(blobs, found[0].sha256) == b"same" * 100_000


class FullBlobs:
    """Wraps other blobs; its disk is full while `full` is set; reading and deleting still work."""

    def __init__(self, behind: Blobs) -> None:
        self.full = False
        self.refusals = 0
        self._behind = behind

    async def put(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> BlobInfo:
        self._check()
        return await self._behind.put(chunks, limit_bytes)

    async def adopt(self, path: Path, *, take: bool = False, source: int | None = None) -> BlobInfo:
        self._check()
        return await self._behind.adopt(path, take=take, source=source)

    def drafts(self) -> Path | None:
        return self._behind.drafts()

    def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        return self._behind.open(sha256, start, end)

    def path(self, sha256: str) -> Path | None:
        return self._behind.path(sha256)

    def descriptor(self, sha256: str) -> int | None:
        return self._behind.descriptor(sha256)

    async def delete(self, sha256: str) -> None:
        await self._behind.delete(sha256)

    async def exists(self, sha256: str) -> bool:
        return await self._behind.exists(sha256)

    async def stored(self, after: str, limit: int, older_than_seconds: float) -> list[str]:
        return await self._behind.stored(after, limit, older_than_seconds)

    def _check(self) -> None:
        if self.full:
            self.refusals += 1
            raise StorageFull("The disk of the data folder has no room left (as the test wants it).")


class InspectableLedger(memory.MemoryLedger):
    """The ledger of the store in memory, with access to its content."""

    def __init__(self) -> None:
        super().__init__(MemoryTables())

    def noted(self, sha256: str) -> Sequence[tuple[str, str, str]]:
        """Return (kind, id, name) of all references to these bytes."""
        return sorted((kind, owner, name) for kind, owner, digest, name in self.owned if digest == sha256)
