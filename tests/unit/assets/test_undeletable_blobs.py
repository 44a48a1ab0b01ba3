"""Bytes that cannot be deleted: they do not block others, are listed as stuck, and are deleted when possible."""

import pytest

from halley.assets.blob_references import BlobReferences
from halley.blobs.memory import MemoryBlobs
from halley.store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class OddBlobs(MemoryBlobs):
    """Some contents cannot be deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.odd: set[str] = set()

    async def delete(self, sha256: str) -> None:
        if sha256 in self.odd:
            raise PermissionError(1, "Operation not permitted")
        await super().delete(sha256)


async def test_one_that_cannot_be_deleted_keeps_no_other(anyio_backend: str) -> None:
    blobs, ledger = OddBlobs(), MemoryStore()
    blob_references = BlobReferences(blobs=blobs, ledger=ledger)
    stored = []
    for content in (b"odd", b"good", b"kept"):

        async def chunks(content: bytes = content):  # type: ignore[no-untyped-def]
            yield content

        owner = "b" if content == b"kept" else "a"
        info = await blob_references.keep_stream(
            chunks(), 100, owner_kind="file", owner_id=owner, name=content.decode()
        )
        stored.append(info.sha256)
    odd, good, kept = stored
    blobs.odd.add(odd)
    assert await blob_references.release("file", "a") == 1
    assert (await blobs.exists(odd), await blobs.exists(good), await blobs.exists(kept)) == (True, False, True)
    assert set(blob_references.stuck) == {odd}
    assert await blob_references.sweep() == 0
    assert await blob_references.retry_stuck() == 0
    assert await blob_references.make_room_of_unneeded() == 0
    blobs.odd.clear()
    assert await blob_references.retry_stuck() == 1
    assert blob_references.stuck == {}
    assert not await blobs.exists(odd)
