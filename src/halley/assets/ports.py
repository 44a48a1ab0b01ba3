"""The ports of `assets`: bytes, references to bytes, uploaded files, outbound fetches.

Bytes and references are apart. `Blobs` holds each content once, by its SHA-256. `BlobLedger` knows who needs it.
`blob_references.BlobReferences` is the only place that changes both, because their order decides whether a needed byte
can be lost.
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
"""Who needs bytes: a kind and an id, such as ("prediction", id) or ("file", id)."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A need for bytes, under the name that its owner has for them."""

    sha256: str
    name: str


class Blobs(Protocol):
    """Bytes, each content once, named by its SHA-256."""

    async def put(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> BlobInfo:
        """Store a stream and give its name; when this returns the bytes survive a power cut.

        Storing the same bytes twice is harmless and keeps one copy. On any error nothing is visible.

        Raises:
            TooLarge: the stream is longer than `limit_bytes`.
            StorageFull: no room; nothing was stored.
        """
        ...

    async def adopt(self, path: Path, *, take: bool = False, source: int | None = None) -> BlobInfo:
        """Store a finished local file, with the promises of `put`; the file itself stays where it is.

        With `source`, an open descriptor of this file, its bytes are read from it, even if the path now leads
        elsewhere.

        The bytes are copied, since whoever wrote the file may write again. With `take` the caller promises that nobody
        will: then the file may share its inode with the blob, and its mode becomes read-only.

        Raises:
            StorageFull: no room; nothing was stored.
            OSError: the file cannot be read; `NotADirectoryError`, `FileNotFoundError` and so on say why.
        """
        ...

    def drafts(self) -> Path | None:
        """A folder for unfinished files that `adopt` can take without copying; None where there is no such place.

        What a crash leaves there is removed at the next start.
        """
        ...

    def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Give the bytes from `start` up to, not including, `end`, in chunks of at most 1 MiB.

        A file may stay open until the generator ends: read it under `contextlib.aclosing`.

        Raises:
            NotFound: there is no such blob (raised at the first chunk).
        """
        ...

    def path(self, sha256: str) -> Path | None:
        """Give a local file with these bytes, or None where they are absent or not on this machine. Read it only."""
        ...

    def descriptor(self, sha256: str) -> int | None:
        """Open a local file with these bytes, or give None where they are absent or not on this machine.

        The caller closes it, and may read it until then, also when the bytes are deleted meanwhile. Never write to it.
        """
        ...

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; an absent name is no error. Readers that have them open may finish."""
        ...

    async def exists(self, sha256: str) -> bool:
        """Whether the bytes are stored whole."""
        ...

    async def stored(self, after: str, limit: int, older_than_seconds: float) -> list[str]:
        """Up to `limit` names above `after`, in order, of bytes that were stored at least so long ago.

        Ages are by the store's own clock, which no leap of this machine's clock touches.
        """
        ...


class BlobLedger(Protocol):
    """Who needs which bytes.

    Each method is one durable transaction.
    """

    async def add_reference(self, sha256: str, size_bytes: int, owner_kind: str, owner_id: str, name: str) -> None:
        """Note that the owner needs these bytes under this name; repeating it changes nothing."""
        ...

    async def drop_references(self, owner_kind: str, owner_id: str) -> list[str]:
        """Remove all references of this owner; returns those SHA-256 that are not needed any more.

        They stay listed by `unreferenced` until `forget_blob`, so a crash before the bytes go leaves a trace.
        """
        ...

    async def is_referenced(self, sha256: str) -> bool:
        """Whether these bytes are needed."""
        ...

    async def owners(self, sha256: str) -> set[Owner]:
        """Give all who need these bytes."""
        ...

    async def references(self, owner_kind: str, owner_id: str) -> list[Reference]:
        """Give all needs of an owner."""
        ...

    async def needs(self, sha256: str, owner_kind: str) -> list[Reference]:
        """Give the needs for these bytes of all owners of a kind."""
        ...

    async def unreferenced(self, limit: int, after: str = "") -> list[str]:
        """Give up to `limit` noted SHA-256 above `after`, in order, that are not needed: a crash left them."""
        ...

    async def known(self, digests: Sequence[str]) -> set[str]:
        """Those of a few SHA-256 that are noted, needed or not."""
        ...

    async def forget_blob(self, sha256: str) -> None:
        """Remove the record of these bytes, after the bytes; does nothing while they are needed."""
        ...


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched file. `content_type` is what the host said, lower case without parameters, "" if nothing.

    `file_name` is safe to use as a name in a folder, taken from the answer or the last URL.
    """

    path: Path
    content_type: str
    size_bytes: int
    file_name: str


class Fetch(Protocol):
    """Outbound fetches for inputs. `egress` fulfils it."""

    def check_url(self, url: str) -> None:
        """Refuse, without any network, what can never be fetched: for the moment of creating.

        Raises:
            AddressRefused: scheme, port, userinfo, control character, or a written address that is not allowed.
        """
        ...

    async def fetch(self, url: str, *, to: Path, limit_bytes: int, deadline_seconds: float) -> Fetched:
        """Get the body into the new file `to`. No credential is ever sent; on any error the file is gone.

        Raises:
            AddressRefused: the URL, a redirect or a resolved address is not allowed.
            TooLarge: the body is longer than `limit_bytes`.
            FetchFailed: the host did not answer 200 in time; the message never holds what it answered.
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
        """Keep the record durably; the id is new."""
        ...

    async def get(self, file_id: str) -> StoredFile | None:
        """Give the record of any account, expired or not; None where there is none. Callers check the account."""
        ...

    async def list(self, account_id: str, before: str | None, limit: int) -> Sequence[StoredFile]:
        """Give at most `limit` files of the account, newest first (by id, descending), all with ids below `before`."""
        ...

    async def delete(self, file_id: str) -> bool:
        """Remove the record; False where there was none."""
        ...

    async def prolong(self, file_id: str, until: datetime) -> None:
        """Let the file live until then, if it would not live as long anyway."""
        ...

    async def expired(self, at: datetime, limit: int | None) -> Sequence[StoredFile]:
        """Give files whose `expires_at` is `at` or earlier, oldest first: up to `limit`, or all."""
        ...


class OutputFiles(Protocol):
    """Where a delivery link leads."""

    async def output_file(self, prediction_id: str, index: int, *, account_id: str | None = None) -> OutputFile | None:
        """Give the prediction's output file with this index; None when either is absent or its data was removed.

        With an account, only if the prediction is its own.
        """
        ...
