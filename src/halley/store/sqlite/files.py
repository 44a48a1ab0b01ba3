"""Uploaded files and references to blobs: `FileStore` and `BlobLedger` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.assets.ports import Owner, Reference, StoredFile
from halley.clock import from_micros, to_micros
from halley.predictions.ports import InputFile
from halley.store.sqlite.parts import SqlitePart

_PUT_BLOB: Final = "INSERT INTO blobs (sha256, size_bytes) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING"
_PUT_REFERENCE: Final = (
    "INSERT INTO blob_references (owner_kind, owner_id, sha256, name) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_DROP_REFERENCES: Final = "DELETE FROM blob_references WHERE owner_kind = ? AND owner_id = ? RETURNING sha256"
_IS_REFERENCED: Final = "SELECT EXISTS (SELECT 1 FROM blob_references WHERE sha256 = ?)"
_OWNERS: Final = "SELECT DISTINCT owner_kind, owner_id FROM blob_references WHERE sha256 = ?"
_UNREFERENCED: Final = (
    "SELECT sha256 FROM blobs WHERE sha256 > ? AND sha256 <= ? AND NOT EXISTS"
    " (SELECT 1 FROM blob_references WHERE blob_references.sha256 = blobs.sha256) ORDER BY sha256 LIMIT ?"
)
_END_OF_BLOBS: Final = "SELECT sha256 FROM blobs WHERE sha256 > ? ORDER BY sha256 LIMIT 1 OFFSET ?"
_BLOBS_AT_ONCE: Final = 2000
_LAST_BLOB: Final = "~"  # after all
_REFERENCES: Final = "SELECT sha256, name FROM blob_references WHERE owner_kind = ? AND owner_id = ?"
_NEEDS: Final = "SELECT sha256, name FROM blob_references WHERE sha256 = ? AND owner_kind = ?"
_KNOWN: Final = "SELECT sha256 FROM blobs WHERE sha256 IN (SELECT value FROM json_each(?))"
# Only if there is another reference: a concurrent delete would not see this one (see assets.blob_references).
_HOLD: Final = (
    "INSERT INTO blob_references (owner_kind, owner_id, sha256, name) SELECT 'input', ?1, ?2, ?3"
    " WHERE EXISTS (SELECT 1 FROM blob_references WHERE sha256 = ?2) ON CONFLICT DO NOTHING"
)
_FORGET_BLOB: Final = (
    "DELETE FROM blobs WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM blob_references WHERE sha256 = ?1)"
)

_FILE_COLUMNS: Final = "id, account_id, name, content_type, size_bytes, sha256, metadata, created_at, expires_at"
_INSERT_FILE: Final = f"INSERT INTO files ({_FILE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT_FILE: Final = f"SELECT {_FILE_COLUMNS} FROM files WHERE id = ?"
_LIST_FILES: Final = (
    f"SELECT {_FILE_COLUMNS} FROM files WHERE account_id = ?1 AND id < coalesce(?2, '~') ORDER BY id DESC LIMIT ?3"
)
_EXPIRED_FILES: Final = f"SELECT {_FILE_COLUMNS} FROM files WHERE expires_at <= ? ORDER BY expires_at, id LIMIT ?"

_decode_metadata: Final = msgspec.json.Decoder(dict[str, str]).decode


class LedgerRows(SqlitePart):
    """Implements `assets.ports.BlobLedger`."""

    async def add_reference(self, sha256: str, size_bytes: int, owner_kind: str, owner_id: str, name: str) -> None:
        await self._writer.submit(_add_reference, sha256, size_bytes, owner_kind, owner_id, name)

    async def drop_references(self, owner_kind: str, owner_id: str) -> list[str]:
        return await self._writer.submit(drop_references, owner_kind, owner_id)

    async def is_referenced(self, sha256: str) -> bool:
        return bool(self._reads.one(_IS_REFERENCED, sha256)[0])

    async def owners(self, sha256: str) -> set[Owner]:
        return {(kind, owner_id) for kind, owner_id in self._reads.all(_OWNERS, sha256)}

    async def references(self, owner_kind: str, owner_id: str) -> list[Reference]:
        return [_read_reference(row) for row in self._reads.all(_REFERENCES, owner_kind, owner_id)]

    async def needs(self, sha256: str, owner_kind: str) -> list[Reference]:
        return [_read_reference(row) for row in await self._reads.elsewhere(_rows, _NEEDS, sha256, owner_kind)]

    async def unreferenced(self, limit: int, after: str = "") -> list[str]:
        found: list[str] = []
        while len(found) < limit:  # others read in between
            some, end = await self._reads.elsewhere(_unreferenced, after, limit - len(found))
            found += some
            if end is None:
                break
            after = end
        return found

    async def known(self, digests: Sequence[str]) -> set[str]:
        rows = await self._reads.elsewhere(_rows, _KNOWN, msgspec.json.encode(list(digests)).decode())
        return {sha256 for (sha256,) in rows}

    async def forget_blob(self, sha256: str) -> None:
        await self._writer.submit(_forget_blob, sha256)


class FileRows(SqlitePart):
    """Implements `assets.ports.FileStore`. A separate part, because its `get` and `list` are about files."""

    async def insert(self, file: StoredFile) -> None:
        await self._writer.submit(_insert_file, file)

    async def get(self, file_id: str) -> StoredFile | None:
        row = self._reads.one(_SELECT_FILE, file_id)
        return None if row is None else _read_file(row)

    async def list(self, account_id: str, before: str | None, limit: int) -> Sequence[StoredFile]:
        rows = await self._reads.elsewhere(_rows, _LIST_FILES, account_id, before, limit)
        return [_read_file(row) for row in rows]

    async def delete(self, file_id: str) -> bool:
        return await self._writer.submit(_delete_file, file_id)

    async def prolong(self, file_id: str, until: datetime) -> None:
        await self._writer.submit(_prolong, file_id, to_micros(until))

    async def expired(self, at: datetime, limit: int | None) -> Sequence[StoredFile]:
        rows = await self._reads.elsewhere(_rows, _EXPIRED_FILES, to_micros(at), -1 if limit is None else limit)
        return [_read_file(row) for row in rows]


def _unreferenced(connection: sqlite3.Connection, after: str, most: int) -> tuple[list[str], str | None]:
    """At most so many of them, and the last that was looked at; None if it was the last of all."""
    ends = connection.execute(_END_OF_BLOBS, (after, _BLOBS_AT_ONCE - 1)).fetchone()
    end = None if ends is None else str(ends[0])
    rows = connection.execute(_UNREFERENCED, (after, end or _LAST_BLOB, most))
    return [sha256 for (sha256,) in rows], end


def _add_reference(
    connection: sqlite3.Connection, sha256: str, size_bytes: int, owner_kind: str, owner_id: str, name: str
) -> None:
    connection.execute(_PUT_BLOB, (sha256, size_bytes))
    connection.execute(_PUT_REFERENCE, (owner_kind, owner_id, sha256, name))


def drop_references(connection: sqlite3.Connection, owner_kind: str, owner_id: str) -> list[str]:
    """Remove all references of an owner; returns those contents that are not needed any more."""
    dropped = dict.fromkeys(sha256 for (sha256,) in connection.execute(_DROP_REFERENCES, (owner_kind, owner_id)))
    return [sha256 for sha256 in dropped if not connection.execute(_IS_REFERENCED, (sha256,)).fetchone()[0]]


def _forget_blob(connection: sqlite3.Connection, sha256: str) -> None:
    connection.execute(_FORGET_BLOB, (sha256,))


def _insert_file(connection: sqlite3.Connection, file: StoredFile) -> None:
    connection.execute(
        _INSERT_FILE,
        (
            file.id,
            file.account_id,
            file.name,
            file.content_type,
            file.size_bytes,
            file.sha256,
            msgspec.json.encode(file.metadata) if file.metadata else None,
            to_micros(file.created_at),
            to_micros(file.expires_at),
        ),
    )


def hold_inputs(connection: sqlite3.Connection, prediction_id: str, files: Sequence[InputFile]) -> None:
    """Record that a prediction needs these bytes until it has ended."""
    connection.executemany(_HOLD, [(prediction_id, file.sha256, file.name) for file in files])


def _prolong(connection: sqlite3.Connection, file_id: str, until: int) -> None:
    connection.execute("UPDATE files SET expires_at = max(expires_at, ?) WHERE id = ?", (until, file_id))


def _delete_file(connection: sqlite3.Connection, file_id: str) -> bool:
    return connection.execute("DELETE FROM files WHERE id = ?", (file_id,)).rowcount == 1


def _rows(connection: sqlite3.Connection, statement: str, *values: Any) -> list[Any]:
    return connection.execute(statement, values).fetchall()


def _read_reference(row: Any) -> Reference:
    return Reference(sha256=row[0], name=row[1])


def _read_file(row: Any) -> StoredFile:
    return StoredFile(
        id=row[0],
        account_id=row[1],
        name=row[2],
        content_type=row[3],
        size_bytes=row[4],
        sha256=row[5],
        metadata={} if row[6] is None else _decode_metadata(row[6]),
        created_at=from_micros(row[7]),
        expires_at=from_micros(row[8]),
    )
