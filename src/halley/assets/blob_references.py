"""Changes stored bytes and the references to them together: the only place that stores and deletes bytes.

A caller may store bytes that exist already, at the moment when their last reference ends and they are deleted. To
prevent this race, adding a reference and deleting exclude each other for each digest, and after adding a reference the
code checks that the bytes still exist. This holds within one process; where several processes share a data folder,
`alone` excludes the others.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

import anyio

from halley.assets.ports import BlobInfo, BlobLedger, Blobs, Owner, Reference
from halley.errors import Busy, Overloaded

_log: Final = logging.getLogger(__name__)

_TRIES: Final = 3
_PORTION: Final = 500  # digests checked together


Alone = Callable[[str], AbstractAsyncContextManager[None]]


def _nobody_else(_sha256: str) -> AbstractAsyncContextManager[None]:
    return nullcontext()


class BlobReferences:
    """Keeps bytes for owners, such as ("prediction", id) or ("file", id), and deletes them with their last
    reference.
    """

    def __init__(self, *, blobs: Blobs, ledger: BlobLedger, alone: Alone | None = None) -> None:
        """`alone` keeps other processes away from a digest, if there are any."""
        self._blobs = blobs
        self._ledger = ledger
        self._without_others = alone or _nobody_else
        self._locks: dict[str, tuple[anyio.Lock, int]] = {}  # with the number of tasks that hold it or wait for it
        self._stuck: dict[str, OSError] = {}  # contents that are not needed but could not be deleted

    async def keep_file(
        self,
        path: Path,
        *,
        owner_kind: str,
        owner_id: str,
        name: str,
        take: bool = False,
        source: int | None = None,
    ) -> BlobInfo:
        """Store a local file for the owner; when this returns, bytes and reference are durable.

        With `take` the caller promises that the file will not be written any more; `source` is its open descriptor, if
        there is one, see `Blobs.adopt`.

        Raises:
            StorageFull: no room.
            OSError: the file cannot be read.
        """
        for _ in range(_TRIES):
            info = await self._blobs.adopt(path, take=take, source=source)
            if await self._need(info, owner_kind, owner_id, name):
                return info
        # owners cannot delete each other's bytes here: a stored reference prevents it
        raise Overloaded(f"The bytes of {name!r} were removed repeatedly while they were stored.")

    async def keep_stream(
        self, chunks: AsyncIterator[bytes], limit_bytes: int, *, owner_kind: str, owner_id: str, name: str
    ) -> BlobInfo:
        """Store a stream for a new owner; when this returns, bytes and reference are durable.

        Raises:
            TooLarge: the stream is longer than `limit_bytes`.
            StorageFull: no room.
            Overloaded: the same bytes were being deleted at that moment; sending them again works.
        """
        info = await self._blobs.put(chunks, limit_bytes)
        if not await self._need(info, owner_kind, owner_id, name):
            await self.release(owner_kind, owner_id)
            raise Overloaded(f"The bytes of {name!r} were being deleted while they were received. Send them again.")
        return info

    async def needs(self, sha256: str, owner_kind: str) -> list[Reference]:
        """The references to these bytes by owners of a kind, with the names that the owners use."""
        return await self._ledger.needs(sha256, owner_kind)

    async def references(self, owner_kind: str, owner_id: str) -> list[Reference]:
        """All references of an owner."""
        return await self._ledger.references(owner_kind, owner_id)

    async def release(self, owner_kind: str, owner_id: str) -> int:
        """Remove all references of an owner and delete contents without any; returns the number of deleted contents."""
        return await self.delete_unreferenced(await self._ledger.drop_references(owner_kind, owner_id))

    async def delete_unreferenced(self, digests: Iterable[str]) -> int:
        """Delete the contents among these that have no reference; returns their number. Errors do not stop it."""
        return sum([await self._delete_one_unreferenced(sha256) for sha256 in digests])

    @property
    def stuck(self) -> Mapping[str, OSError]:
        """Contents without a reference that could not be deleted at the last try, and the error of each."""
        return self._stuck

    async def retry_stuck(self) -> int:
        """Try again to delete these contents; returns how many were deleted."""
        return await self.delete_unreferenced(tuple(self._stuck))

    async def is_stored(self, sha256: str) -> bool:
        """Whether the bytes exist: those of owners that will be removed may be deleted earlier, see `make_room`."""
        return await self._blobs.exists(sha256)

    async def make_room(self, owners: Set[Owner]) -> int:
        """Delete bytes that only these owners reference, without any write: on a full disk references cannot be
        changed.

        For owners that will be removed and cannot be read any more. Returns the number of deleted contents.
        """
        count = 0
        for owner in owners:
            for reference in await self._ledger.references(*owner):
                count += await self._empty(reference.sha256, owners)
        return count

    async def make_room_of_unneeded(self) -> int:
        """Delete recorded bytes without a reference, without any write; returns their number."""
        count, after = 0, ""
        while found := await self._ledger.unreferenced(_PORTION, after):
            count, after = count + sum([await self._empty(sha256, set()) for sha256 in found]), found[-1]
        return count

    async def sweep(self) -> int:
        """Delete contents that a crash left without a reference; returns their number."""
        count, after = 0, ""
        while found := await self._ledger.unreferenced(_PORTION, after):
            count, after = count + await self.delete_unreferenced(found), found[-1]
        return count

    async def sweep_unknown(self, older_than_seconds: float) -> int:
        """Delete contents that were never recorded, because of a crash; returns their number.

        Younger contents are kept: their reference may be about to be added. If it comes too late, its owner finds the
        bytes deleted and stores them again.
        """
        count, after = 0, ""
        while found := await self._blobs.stored(after, _PORTION, older_than_seconds):
            known = await self._ledger.known(found)
            count += await self.delete_unreferenced([sha256 for sha256 in found if sha256 not in known])
            after = found[-1]
        return count

    async def _need(self, info: BlobInfo, owner_kind: str, owner_id: str, name: str) -> bool:
        async with self._alone(info.sha256):
            try:
                await self._ledger.add_reference(info.sha256, info.size_bytes, owner_kind, owner_id, name)
            # no reference was added; on a full disk, bytes without an owner would use space that is needed
            except Busy:
                if not await self._ledger.is_referenced(info.sha256):
                    with suppress(OSError):  # a sweep will delete it
                        await self._blobs.delete(info.sha256)
                raise
            return await self._blobs.exists(info.sha256)

    async def _delete_one_unreferenced(self, sha256: str) -> bool:
        try:
            is_gone = await self._remove(sha256)
        except OSError as error:
            self._note_stuck(sha256, error)
            return False
        self._stuck.pop(sha256, None)
        return is_gone

    def _note_stuck(self, sha256: str, error: OSError) -> None:
        if sha256 not in self._stuck:
            _log.warning("the stored file %s cannot be deleted; trying again later: %s", sha256, error)
        self._stuck[sha256] = error

    async def _empty(self, sha256: str, owners: Set[Owner]) -> bool:
        async with self._alone(sha256):
            if not await self._ledger.owners(sha256) <= owners or not await self._blobs.exists(sha256):
                return False
            try:
                await self._blobs.delete(sha256)
            except OSError as error:
                self._note_stuck(sha256, error)
                return False
            return True

    async def _remove(self, sha256: str) -> bool:
        async with self._alone(sha256):
            if await self._ledger.is_referenced(sha256):
                return False  # referenced again meanwhile
            await self._blobs.delete(sha256)
            await self._ledger.forget_blob(sha256)
            return True

    @asynccontextmanager
    async def _alone(self, sha256: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(sha256, (anyio.Lock(), 0))
        self._locks[sha256] = lock, users + 1
        try:
            async with lock, self._without_others(sha256):
                yield
        finally:
            lock, users = self._locks.pop(sha256)
            if users > 1:
                self._locks[sha256] = lock, users - 1
