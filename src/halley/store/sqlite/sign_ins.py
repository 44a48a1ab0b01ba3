"""Browsers that have signed in: `SignInStore` in SQL."""

import sqlite3
from collections.abc import Awaitable
from datetime import datetime
from typing import Final

from halley.clock import from_micros, to_micros
from halley.keys.ports import MOST_SIGN_INS
from halley.keys.records import SignIn
from halley.store.sqlite.parts import SqlitePart

_DROP: Final = "DELETE FROM sign_ins WHERE ends_at <= ?"
_PUT: Final = "INSERT INTO sign_ins (digest, key_id, created_at, ends_at) VALUES (?, ?, ?, ?)"
_DROP_OF_KEY: Final = (
    "DELETE FROM sign_ins WHERE digest IN (SELECT digest FROM sign_ins WHERE key_id = ?"
    " ORDER BY created_at DESC, digest DESC LIMIT -1 OFFSET ?)"
)
_FIND: Final = "SELECT digest, key_id, created_at, ends_at FROM sign_ins WHERE digest = ?"
_EXTEND: Final = "UPDATE sign_ins SET ends_at = ? WHERE digest = ?"
_END: Final = "DELETE FROM sign_ins WHERE digest = ?"
_END_OF_KEY: Final = "DELETE FROM sign_ins WHERE key_id = ?"


class SignInRows(SqlitePart):
    """Implements `keys.ports.SignInStore`."""

    def put_sign_in(self, sign_in: SignIn) -> Awaitable[None]:
        return self._writer.submit(_put, sign_in)

    async def find_sign_in(self, digest: bytes) -> SignIn | None:
        row = self._reads.one(_FIND, digest)
        if row is None:
            return None
        return SignIn(digest=row[0], key_id=row[1], created_at=from_micros(row[2]), ends_at=from_micros(row[3]))

    def extend_sign_in(self, digest: bytes, ends_at: datetime) -> Awaitable[None]:
        return self._writer.submit(_run, _EXTEND, (to_micros(ends_at), digest))

    def end_sign_in(self, digest: bytes) -> Awaitable[None]:
        return self._writer.submit(_run, _END, (digest,))

    def end_sign_ins_of(self, key_id: str) -> Awaitable[int]:
        return self._writer.submit(_count, _END_OF_KEY, (key_id,))


def _put(connection: sqlite3.Connection, sign_in: SignIn) -> None:
    created_at = to_micros(sign_in.created_at)
    connection.execute(_DROP, (created_at,))
    connection.execute(_DROP_OF_KEY, (sign_in.key_id, MOST_SIGN_INS - 1))
    connection.execute(_PUT, (sign_in.digest, sign_in.key_id, created_at, to_micros(sign_in.ends_at)))


def _run(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    connection.execute(statement, values)


def _count(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> int:
    return connection.execute(statement, values).rowcount
