"""Opens the database file, refuses files that are damaged or foreign, and updates the schema."""

# ruff: noqa: S608 - statements are put together from constants of our own; values are always bound

import logging
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Final

from halley.clock import to_micros
from halley.errors import Unusable
from halley.store.sqlite.backups import back_up, size_bytes, way_back
from halley.store.sqlite.plain_values import take_as_they_are

_log: Final = logging.getLogger(__name__)
BUSY_TIMEOUT_MS: Final = 2_000  # another process (a backup, a person with a shell) may lock the file for a moment
CHECK_LIMIT_BYTES: Final = 64 * 2**20  # a full check reads every page: for larger files it would delay each start
_STATEMENTS_KEPT: Final = 128

_CREATE_VERSION_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)"
)


def connect(path: Path, *, read_only: bool, cache_kib: int) -> sqlite3.Connection:
    """A connection with our settings; it may be passed to another thread, but used by one at a time.

    Raises:
        Unusable: it cannot be opened, or it is not a database.
    """
    take_as_they_are()
    try:
        if not read_only and not path.exists():  # SQLite gives its log and index the permissions of the database
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS_KEPT
        )
    except (sqlite3.Error, OSError) as error:
        raise Unusable(f"The database {path} cannot be opened: {error}. Check the folder and its rights.") from error
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
        connection.execute("PRAGMA mmap_size=0")  # mapped pages would count as memory of this process
        if read_only:
            connection.execute("PRAGMA query_only=1")
            return connection
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise Unusable(f"The database {path} cannot use a write-ahead log here; keep it on a local disk.")
        connection.execute("PRAGMA synchronous=FULL")  # acknowledged means durable, even after a power failure
        connection.execute("PRAGMA foreign_keys=1")
        # deleted data must not be readable in the file, even large values on separate pages
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA journal_size_limit=67108864")
    except sqlite3.Error as error:
        connection.close()
        raise _untrusted(path, str(error)) from error
    except Unusable:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path, at: datetime, keep_backups: int = 0) -> None:
    """Check the file and apply the missing migrations, one transaction each.

    Before a migration the file is copied; `keep_backups` such copies are kept, and with 0 none is made.

    Raises:
        Unusable: the file is damaged, foreign, or newer than this Halley, or cannot be copied. It is never repaired or
            replaced.
    """
    try:
        _check_integrity(connection, path)
        migrate(connection, path, at, read_migrations(), keep_backups)
    except sqlite3.DatabaseError as error:
        raise _untrusted(path, str(error)) from error


def read_migrations() -> list[tuple[int, str]]:
    """The numbered scripts of this package, in order."""
    scripts = Path(__file__).with_name("migrations").glob("*.sql")
    return sorted((int(script.name[:4]), script.read_text("utf-8")) for script in scripts)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    at: datetime,
    migrations: list[tuple[int, str]],
    keep_backups: int = 0,
) -> None:
    """Apply what is missing. A step that fails leaves the database at the step before.

    Raises:
        Unusable: the schema is newer than the last migration, the file holds something else, or cannot be copied.
    """
    known = migrations[-1][0]
    present = _present_version(connection, path)
    if present > known:
        raise Unusable(
            f"The database {path} has schema version {present}; this Halley knows only up to {known}. "
            + way_back(path, known)
        )
    if 0 < present < known:
        if keep_backups:
            back_up(connection, path, present, at, keep=keep_backups)
        _log.info("the database %s is brought from schema version %d to %d", path, present, known)
    tells = 0 < present < known and size_bytes(connection) > CHECK_LIMIT_BYTES
    for number, script in migrations:
        if number > present:
            if tells:
                _log.info("schema version %d of %d", number, known)
            _apply(connection, number, script, at)


def _apply(connection: sqlite3.Connection, number: int, script: str, at: datetime) -> None:
    note = f"INSERT INTO schema_version (version, applied_at) VALUES ({number:d}, {to_micros(at):d})"
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {_CREATE_VERSION_TABLE}; {script}\n; {note}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _present_version(connection: sqlite3.Connection, path: Path) -> int:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "schema_version" in tables:
        (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
        return int(version)
    if tables:
        raise Unusable(f"The file {path} is a database of something else. Choose another folder with --data.")
    return 0


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECK_LIMIT_BYTES:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise _untrusted(path, answer)


def _untrusted(path: Path, found: str) -> Unusable:
    return Unusable(
        f"The database {path} is damaged or not a database ({found}). Nothing was changed. "
        "Restore a backup, or choose another folder with --data."
    )
