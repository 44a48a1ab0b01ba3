"""The ports of `assets`: bytes, references to bytes, uploaded files, outbound fetches.

Bytes and references are separate. `Blobs` stores each content once, by its SHA-256. `BlobLedger` records who needs it.
Only `blob_references.BlobReferences` changes both, because a wrong order could lose bytes that are needed.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from halley.predictions.records import OutputFile


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Stored bytes. `sha256` is 64 lower-case hex digits, and their only name."""

    sha256: str
    size_bytes: int


Owner = tuple[str, str]
"""The owner of a reference to bytes: a kind and an id, such as ("prediction", id) or ("file", id)."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to bytes, with the name that its owner uses for them."""

    sha256: str
    name: str


class Blobs(Protocol):
    """Bytes, each content once, named by its SHA-256."""

    async def put(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> BlobInfo:
        """Store a stream and return its name; when this returns the bytes survive a power failure.

        Storing the same bytes twice is harmless and keeps one copy. On any error nothing is visible.

        Raises:
            TooLarge: the stream is longer than `limit_bytes`.
            StorageFull: no room; nothing was stored.
        """
        ...

    async def adopt(self, path: Path, *, take: bool = False, source: int | None = None) -> BlobInfo:
        """Store a finished local file, with the promises of `put`; the file itself stays where it is.

        If `source` is given, an open descriptor of this file, the bytes are read from it, even if the path now names
        another file.

        The bytes are copied, since the writer of the file may write again. With `take` the caller promises that this
        will not happen: then the file may share its inode with the blob, and its mode becomes read-only.

        Raises:
            StorageFull: no room; nothing was stored.
            OSError: the file cannot be read; `NotADirectoryError`, `FileNotFoundError` and so on say why.
        """
        ...

    def drafts(self) -> Path | None:
        """A folder for unfinished files that `adopt` can use without copying; None if there is none.

        Files that a crash leaves there are removed at the next start.
        """
        ...

    def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` up to, not including, `end`, in chunks of at most 1 MiB.

        A file may stay open until the generator ends: read it under `contextlib.aclosing`.

        Raises:
            NotFound: there is no such blob (raised at the first chunk).
        """
        ...

    def path(self, sha256: str) -> Path | None:
        """A local file with these bytes, or None if they are absent or not on this machine. For reading only."""
        ...

    def descriptor(self, sha256: str) -> int | None:
        """Open a local file with these bytes; None if they are absent or not on this machine.

        The caller closes it, and may read it until then, even if the bytes are deleted meanwhile. Never write to it.
        """
        ...

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; an absent name is not an error. Readers that have them open may finish."""
        ...

    async def exists(self, sha256: str) -> bool:
        """Whether the bytes are stored completely."""
        ...

    async def stored(self, after: str, limit: int, older_than_seconds: float) -> list[str]:
        """Up to `limit` names above `after`, in order, of bytes that were stored at least so long ago.

        The age is measured by the store's own clock, which does not follow jumps of this machine's clock.
        """
        ...


class BlobLedger(Protocol):
    """Records who needs which bytes.

    Each method is one durable transaction.
    """

    async def add_reference(self, sha256: str, size_bytes: int, owner_kind: str, owner_id: str, name: str) -> None:
        """Record that the owner needs these bytes under this name; a repetition changes nothing."""
        ...

    async def drop_references(self, owner_kind: str, owner_id: str) -> list[str]:
        """Remove all references of this owner; returns those SHA-256 that are not needed any more.

        `unreferenced` lists them until `forget_blob`, so that they are found after a crash.
        """
        ...

    async def is_referenced(self, sha256: str) -> bool:
        """Whether these bytes have a reference."""
        ...

    async def owners(self, sha256: str) -> set[Owner]:
        """All owners of references to these bytes."""
        ...

    async def references(self, owner_kind: str, owner_id: str) -> list[Reference]:
        """All references of an owner."""
        ...

    async def needs(self, sha256: str, owner_kind: str) -> list[Reference]:
        """All references to these bytes by owners of a kind."""
        ...

    async def unreferenced(self, limit: int, after: str = "") -> list[str]:
        """Up to `limit` recorded SHA-256 above `after`, in order, without a reference: a crash left them."""
        ...

    async def known(self, digests: Sequence[str]) -> set[str]:
        """Those of a few SHA-256 that are recorded, with or without a reference."""
        ...

    async def forget_blob(self, sha256: str) -> None:
        """Remove the record of these bytes, after the bytes; does nothing while they have a reference."""
        ...


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched file. `content_type` is the host's, in lower case without parameters, "" if there was none.

    `file_name` is a safe file name, taken from the answer or the last URL.
    """

    path: Path
    content_type: str
    size_bytes: int
    file_name: str


class Draft(msgspec.Struct, kw_only=True):
    """A file that a transfer may have left unfinished. Its fetch changes it.

    `validator` recognises the body whose first `size_bytes` it has, for asking for the rest; "": it begins again.
    """

    path: Path
    size_bytes: int = 0
    validator: str = ""
    total_bytes: int | None = None

    def begin(self, validator: str, total_bytes: int | None) -> None:
        """What it has is not part of the body that comes now."""
        self.size_bytes, self.validator, self.total_bytes = 0, validator, total_bytes


class Fetch(Protocol):
    """Outbound fetches for inputs and outputs. Implemented by `egress`."""

    def check_url(self, url: str) -> None:
        """Refuse, without any network, what can never be fetched; called at the create.

        Raises:
            AddressRefused: scheme, port, userinfo, a control character, or an IP address that is not allowed.
        """
        ...

    async def fetch(
        self,
        url: str,
        *,
        to: Path | Draft,
        limit_bytes: int,
        deadline_seconds: float,
        origin: tuple[str, int] | None = None,
    ) -> Fetched:
        """Write the body to the new file `to`. No credential is sent; on any error the file is removed.

        A draft keeps what has arrived, and the next fetch of the same URL continues it if the host can. `origin`: this
        host and port may be at any address.

        Raises:
            AddressRefused: the URL, a redirect or a resolved address is not allowed.
            TooLarge: the body is longer than `limit_bytes`.
            FetchFailed: the host did not answer 200 in time; the message never contains its answer.
        """
        ...


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a client uploaded. Source: contract section 13.2."""

    id: str
    account_id: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    metadata: Mapping[str, str] = {}
    created_at: datetime
    expires_at: datetime


class FileStore(Protocol):
    """Records of uploaded files. Each method is one transaction."""

    async def insert(self, file: StoredFile) -> None:
        """Store the record durably; the id is new."""
        ...

    async def get(self, file_id: str) -> StoredFile | None:
        """The record for any account, expired or not; None if there is none. Callers check the account."""
        ...

    async def list(self, account_id: str, before: str | None, limit: int) -> Sequence[StoredFile]:
        """At most `limit` files of the account, newest first (by id, descending), all with ids below `before`."""
        ...

    async def delete(self, file_id: str) -> bool:
        """Remove the record; False if there was none."""
        ...

    async def prolong(self, file_id: str, until: datetime) -> None:
        """Move the file's expiry to `until`, if it is earlier."""
        ...

    async def expired(self, at: datetime, limit: int | None) -> Sequence[StoredFile]:
        """Files whose `expires_at` is `at` or earlier, oldest first: up to `limit`, or all."""
        ...


class OutputFiles(Protocol):
    """Finds the file of a delivery link."""

    async def output_file(self, prediction_id: str, index: int, *, account_id: str | None = None) -> OutputFile | None:
        """The prediction's output file with this index; None if either is absent or its data was removed.

        With an account, only if the prediction belongs to it.
        """
        ...
