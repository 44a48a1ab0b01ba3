"""Files that clients upload to use as inputs. Source: contract section 13."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from halley.assets.blob_references import BlobReferences
from halley.assets.content import safe_type
from halley.assets.holding import still_there
from halley.assets.names import safe_name
from halley.assets.ports import BlobInfo, Blobs, FileStore, StoredFile
from halley.clock import Clock
from halley.errors import Busy, InputInvalid, InvalidField, NotFound
from halley.ids import NewId

OWNER_KIND: Final = "file"
SWEEP_AT_ONCE: Final = 100


class Files:
    """The use cases of the files API. Files of another account are treated as absent."""

    def __init__(
        self,
        *,
        store: FileStore,
        blob_references: BlobReferences,
        blobs: Blobs,
        clock: Clock,
        new_id: NewId,
        upload_limit_bytes: int,
        name_limit_bytes: int = 255,
        life_seconds: float = 86_400.0,
    ) -> None:
        self._store = store
        self._blob_references = blob_references
        self._blobs = blobs
        self._clock = clock
        self._new_id = new_id
        self._upload_limit_bytes = upload_limit_bytes
        self._name_limit_bytes = name_limit_bytes
        self._life_seconds = life_seconds

    @property
    def drafts(self) -> Path | None:
        """The folder in which an upload may be written before `create`; None for the usual temporary folder."""
        return self._blobs.drafts()

    async def create(
        self,
        account_id: str,
        content: AsyncIterator[bytes] | Path,
        *,
        name: str,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredFile:
        """Store an upload durably, from a stream or from a file that is not written to any more.

        The size of a stream is checked here; that of a file was checked while it was written.

        Raises:
            InputInvalid: the name is too long.
            TooLarge: the content is longer than the limit; it is counted while it comes in.
            TooLarge: the content is longer than the limit; it is counted while it arrives.
        """
        if len(name.encode("utf-8", "replace")) > self._name_limit_bytes:
            raise InputInvalid(
                (
                    InvalidField(
                        type="max_length",
                        field="filename",
                        description=f"must be at most {self._name_limit_bytes} bytes (setting limits.file_name_bytes)",
                    ),
                )
            )
        file_id = self._new_id()
        stored_name = safe_name(name)
        info = await self._keep(content, file_id, stored_name)
        now = self._clock.now()
        file = StoredFile(
            id=file_id,
            account_id=account_id,
            name=stored_name,
            content_type=safe_type(content_type),
            size_bytes=info.size_bytes,
            sha256=info.sha256,
            metadata=dict(metadata or {}),
            created_at=now,
            expires_at=now + timedelta(seconds=self._life_seconds),
        )
        try:
            await self._store.insert(file)
        except Busy:
            await self._blob_references.make_room(
                {(OWNER_KIND, file_id)}
            )  # the record of the bytes is removed by a sweep
            raise
        return file

    async def get(self, account_id: str, file_id: str) -> StoredFile:
        """Return the account's file.

        Raises:
            NotFound: absent, expired, or another account's.
        """
        file = await self._store.get(file_id)
        if file is None or file.account_id != account_id:
            raise _absent(file_id)
        return await self._alive(file)

    async def get_signed(self, file_id: str) -> StoredFile:
        """Return the file of a signed download, whose signature the caller has already checked.

        Raises:
            NotFound: absent or expired.
        """
        file = await self._store.get(file_id)
        if file is None:
            raise _absent(file_id)
        return await self._alive(file)

    async def list(self, account_id: str, before: str | None, limit: int) -> Sequence[StoredFile]:
        """Return at most `limit` of the account's files with ids below `before`, newest first, without expired ones."""
        found: list[StoredFile] = []
        while len(found) < limit:  # expired files that are not removed yet must not hide older ones
            stored = await self._store.list(account_id, before, limit)
            found += [file for one in stored if (file := await self._still_there(one)) is not None]
            if len(stored) < limit:
                break
            before = stored[-1].id
        return found[:limit]

    async def delete(self, account_id: str, file_id: str) -> None:
        """Remove the account's file.

        Raises:
            NotFound: absent, expired, or another account's.
        """
        await self.get(account_id, file_id)
        await self._remove(file_id)

    def open(self, file: StoredFile, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes, or a part of them; see `Blobs.open`."""
        return self._blobs.open(file.sha256, start, end)

    def path(self, file: StoredFile) -> Path | None:
        """A local file with the bytes, if there is one; see `Blobs.path`."""
        return self._blobs.path(file.sha256)

    async def expire(self, at: datetime) -> int:
        """Check some files that had expired at `at`, and remove those that no prediction needs.

        Returns the number of removed files; 0 means that none is left.
        """
        over = await self._store.expired(at, SWEEP_AT_ONCE)
        gone = [file.id for file in over if await self._still_there(file) is None]
        for file_id in gone:
            await self._remove(file_id)
        return len(gone)

    async def overdue(self, at: datetime) -> Sequence[str]:
        """The ids of all files that had expired at `at`, including those that a prediction needs."""
        return [file.id for file in await self._store.expired(at, None)]

    async def _keep(self, content: AsyncIterator[bytes] | Path, file_id: str, name: str) -> BlobInfo:
        if not isinstance(content, Path):
            return await self._blob_references.keep_stream(
                content, self._upload_limit_bytes, owner_kind=OWNER_KIND, owner_id=file_id, name=name
            )
        return await self._blob_references.keep_file(
            content, owner_kind=OWNER_KIND, owner_id=file_id, name=name, take=True
        )

    async def _remove(self, file_id: str) -> None:
        # the record first: a crash in between leaves a reference without a file, never a file without its bytes
        await self._store.delete(file_id)
        await self._blob_references.release(OWNER_KIND, file_id)

    async def _alive(self, file: StoredFile) -> StoredFile:
        found = await self._still_there(file)
        if found is None:
            raise _absent(file.id)
        return found

    async def _still_there(self, file: StoredFile) -> StoredFile | None:
        return await still_there(file, store=self._store, blob_references=self._blob_references, clock=self._clock)


def _absent(file_id: str) -> NotFound:
    return NotFound(f"There is no file {file_id[:64]!r}, or it was removed.")
