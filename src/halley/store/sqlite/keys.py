"""Accounts and keys: `KeyStore` in SQL."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import sqlite3
from collections.abc import Awaitable, Collection, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from halley.clock import from_micros, to_micros
from halley.errors import Conflict, HalleyError
from halley.keys.records import Account, Key, KeyOptions, Scope
from halley.store.sqlite.parts import SqlitePart
from halley.store.sqlite.queue_counters import QueueCounters

_ACCOUNT_COLUMNS: Final = "id, username, type, name, weight, created_at"
_PUT_ACCOUNT: Final = (
    f"INSERT INTO accounts ({_ACCOUNT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (username) DO NOTHING"
)
_SELECT_ACCOUNT: Final = f"SELECT {_ACCOUNT_COLUMNS} FROM accounts WHERE id = ?"
_FIND_ACCOUNT: Final = f"SELECT {_ACCOUNT_COLUMNS} FROM accounts WHERE username = ?"

_KEY_COLUMNS: Final = "id, account_id, name, digest, hint, scopes, created_at, revoked_at, options"
_PUT_KEY: Final = f"INSERT INTO keys ({_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_SELECT_KEY: Final = f"SELECT {_KEY_COLUMNS} FROM keys WHERE id = ?"
_FIND_KEY: Final = f"SELECT {_KEY_COLUMNS} FROM keys WHERE digest = ?"
_LIST_KEYS: Final = (
    f"SELECT {_KEY_COLUMNS} FROM keys WHERE ?1 IS NULL OR account_id = ?1 ORDER BY created_at DESC, id DESC"
)
_PAGE_KEYS: Final = f"SELECT {_KEY_COLUMNS} FROM keys WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
_LAST: Final = "\U0010ffff"  # after every id
_VALID_SCOPES: Final = (
    "SELECT k.id, k.scopes FROM json_each(?) AS wanted JOIN keys AS k ON k.id = wanted.value"
    " JOIN accounts AS a ON a.id = k.account_id WHERE k.revoked_at IS NULL"
)
_REVOKE: Final = "UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
_REPLACED: Final = f"SELECT {_KEY_COLUMNS} FROM keys WHERE is_configured AND id <> ? ORDER BY id"
_REVOKE_REPLACED: Final = (
    "UPDATE keys SET is_configured = 0, revoked_at = coalesce(revoked_at, ?) WHERE is_configured AND id <> ?"
)
_CONFIGURED: Final = "SELECT id, revoked_at FROM keys WHERE is_configured"
_SET_CONFIGURED: Final = "UPDATE keys SET is_configured = 1, revoked_at = NULL WHERE id = ?"
_SET_OPTIONS: Final = "UPDATE keys SET options = ? WHERE id = ?"


class KeyRows(SqlitePart):
    """Implements `keys.ports.KeyStore`."""

    def put_account(self, account: Account) -> Awaitable[Account]:
        return self._writer.submit(_put_account, self._counters, account)

    async def get_account(self, account_id: str) -> Account | None:
        return _read_account(self._reads.one(_SELECT_ACCOUNT, account_id))

    async def find_account(self, username: str) -> Account | None:
        return _read_account(self._reads.one(_FIND_ACCOUNT, username))

    def put_key(self, key: Key) -> Awaitable[None]:
        return self._writer.submit(_put_key, key)

    async def find_key(self, digest: bytes) -> Key | None:
        return _read_key(self._reads.one(_FIND_KEY, digest))

    async def get_key(self, key_id: str) -> Key | None:
        return _read_key(self._reads.one(_SELECT_KEY, key_id))

    async def list_keys(self, account_id: str | None = None) -> list[Key]:
        rows = await self._reads.elsewhere(_rows, _LIST_KEYS, account_id)
        return [key for row in rows if (key := _read_key(row)) is not None]

    async def page_keys(self, before: str | None, limit: int) -> list[Key]:
        rows = await self._reads.elsewhere(_rows, _PAGE_KEYS, before or _LAST, limit)
        return [key for row in rows if (key := _read_key(row)) is not None]

    async def valid_scopes(self, key_ids: Collection[str]) -> dict[str, frozenset[Scope]]:
        wanted = msgspec.json.encode(list(key_ids)).decode()
        rows = await self._reads.elsewhere(_rows, _VALID_SCOPES, wanted)
        return {key_id: _scopes(words) for key_id, words in rows}

    def revoke_key(self, key_id: str, at: datetime) -> Awaitable[Key | None]:
        return self._writer.submit(_revoke, key_id, to_micros(at))

    async def set_configured(self, key_id: str, at: datetime) -> list[Key]:
        if self._reads.all(_CONFIGURED) == [(key_id, None)]:
            return []  # usual at a start, which must not need a store that accepts writes
        return await self._writer.submit(_set_configured, key_id, to_micros(at))

    def change_options(self, key_id: str, changes: Mapping[str, object]) -> Awaitable[Key | None]:
        return self._writer.submit(_change_options, key_id, changes)


def _put_account(connection: sqlite3.Connection, counters: QueueCounters, account: Account) -> Account | HalleyError:
    stored = _read_account(connection.execute(_FIND_ACCOUNT, (account.username,)).fetchone())
    if stored is not None:
        return stored
    if connection.execute(_SELECT_ACCOUNT, (account.id,)).fetchone() is not None:
        return Conflict(f"The account id {account.id} is taken.")
    connection.execute(
        _PUT_ACCOUNT,
        (account.id, account.username, account.type, account.name, account.weight, to_micros(account.created_at)),
    )
    counters.set_weight(account.id, account.weight)
    return account


def _put_key(connection: sqlite3.Connection, key: Key) -> HalleyError | None:
    if connection.execute(_SELECT_ACCOUNT, (key.account_id,)).fetchone() is None:
        return Conflict(f"The key {key.id} belongs to account {key.account_id}, which does not exist.")
    scopes = " ".join(sorted(key.scopes))
    revoked_at = None if key.revoked_at is None else to_micros(key.revoked_at)
    created_at, options = to_micros(key.created_at), msgspec.json.encode(key.options)
    row = (key.id, key.account_id, key.name, key.digest, key.hint, scopes, created_at, revoked_at, options)
    if connection.execute(_PUT_KEY, row).rowcount == 0:
        return Conflict(f"The key {key.id} ({key.hint}...) exists already.")
    return None


def _revoke(connection: sqlite3.Connection, key_id: str, at: int) -> Key | None:
    connection.execute(_REVOKE, (at, key_id))
    return _read_key(connection.execute(_SELECT_KEY, (key_id,)).fetchone())


def _set_configured(connection: sqlite3.Connection, key_id: str, at: int) -> list[Key]:
    replaced = [key for row in connection.execute(_REPLACED, (key_id,)) if (key := _read_key(row)) is not None]
    connection.execute(_REVOKE_REPLACED, (at, key_id))
    connection.execute(_SET_CONFIGURED, (key_id,))
    return [msgspec.structs.replace(key, revoked_at=from_micros(at)) for key in replaced if key.revoked_at is None]


def _change_options(connection: sqlite3.Connection, key_id: str, changes: Mapping[str, object]) -> Key | None:
    key = _read_key(connection.execute(_SELECT_KEY, (key_id,)).fetchone())
    if key is None:
        return None
    options = key.options.changed(changes)
    connection.execute(_SET_OPTIONS, (msgspec.json.encode(options), key_id))
    return msgspec.structs.replace(key, options=options)


def _rows(connection: sqlite3.Connection, statement: str, *values: Any) -> list[Any]:
    return connection.execute(statement, values).fetchall()


def _read_account(row: Any) -> Account | None:
    if row is None:
        return None
    return Account(id=row[0], username=row[1], type=row[2], name=row[3], weight=row[4], created_at=from_micros(row[5]))


def _scopes(words: str) -> frozenset[Scope]:
    return frozenset(Scope(word) for word in words.split())


def _read_key(row: Any) -> Key | None:
    if row is None:
        return None
    return Key(
        id=row[0],
        account_id=row[1],
        name=row[2],
        digest=row[3],
        hint=row[4],
        scopes=_scopes(row[5]),
        created_at=from_micros(row[6]),
        revoked_at=None if row[7] is None else from_micros(row[7]),
        options=msgspec.json.decode(row[8], type=KeyOptions),
    )
