"""Copies the database before its schema changes, so that the earlier release can be used again."""

import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from halley.errors import Unusable

FOLDER: Final = "backups"  # beside the database
MARGIN_BYTES: Final = 16 * 2**20  # room for a migration and the following start
_NAME: Final = re.compile(r"halley-schema(\d{4,})-(\d{8}T\d{6}Z)\.db")
_PARTIAL: Final = re.compile(r"halley-schema\d{4,}-\d{8}T\d{6}Z\.part(-journal)?")
_PAGES_AT_ONCE: Final = 4096
_log: Final = logging.getLogger(__name__)


class Backup(NamedTuple):
    """One of the copies; they sort by time."""

    made_at: str
    version: int
    path: Path


def back_up(connection: sqlite3.Connection, database: Path, version: int, at: datetime, *, keep: int) -> Path:
    """Copy the database into a file that only its owner can read, and delete all but the newest `keep` copies.

    Raises:
        Unusable: there is no room, or it cannot be written; nothing is left of it and nothing is changed.
    """
    folder = database.parent / FOLDER
    path = folder / f"halley-schema{version:04d}-{at:%Y%m%dT%H%M%SZ}.db"
    partial = path.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _remove_partial(folder)
        _check_room(connection, folder)
        _log.info("a backup of the database (%s MB) is made first", f"{size_bytes(connection) / 1e6:,.0f}")
        _copy(connection, partial)
        partial.replace(path)
        _sync(folder)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            partial.unlink()
        raise Unusable(
            f"The database {database} has to be brought up to date, and the backup {path} that comes first cannot be"
            f" made: {error}. Nothing was changed. Make room, or make a backup yourself and set"
            " upgrades.backup = false (HALLEY_UPGRADES__BACKUP=false)."
        ) from error
    for old in sorted(backups(database), reverse=True)[keep:]:
        old.path.unlink(missing_ok=True)
    _log.info("a backup of the database as it was (schema version %d) is %s", version, path)
    return path


def backups(database: Path) -> Iterator[Backup]:
    """The copies of a database, in no order."""
    try:
        names = sorted(path.name for path in (database.parent / FOLDER).iterdir())
    except OSError:
        return
    for name in names:
        found = _NAME.fullmatch(name)
        if found is not None:
            yield Backup(found[2], int(found[1]), database.parent / FOLDER / name)


def way_back(database: Path, known: int) -> str:
    """How to continue with an older Halley that knows the schema only up to `known`, with the backup if there
    is one.
    """
    fit = [backup for backup in backups(database) if backup.version <= known]
    if not fit:
        return "Start the newer Halley again, or choose another folder with --data."
    newest = max(fit)
    return (
        f"Start the newer Halley again; or go back to the backup {newest.path}, made at {newest.made_at} with schema"
        f" version {newest.version}: delete {database}-wal and {database}-shm, and copy the backup to {database}."
        " What came after it is lost."
    )


def _remove_partial(folder: Path) -> None:
    """Delete what is left of copies whose process was killed: each is as large as the database."""
    for path in folder.iterdir():
        if _PARTIAL.fullmatch(path.name):
            path.unlink()


def size_bytes(connection: sqlite3.Connection) -> int:
    """The size of the database, as a copy has it."""
    (pages,), (size,) = (connection.execute(f"PRAGMA {word}").fetchone() for word in ("page_count", "page_size"))
    return int(pages * size)


def _check_room(connection: sqlite3.Connection, folder: Path) -> None:
    needed, free = size_bytes(connection) + MARGIN_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"it needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free")


class _Headway:
    """Logs each tenth of a copy that takes more than a moment."""

    def __init__(self) -> None:
        self._tenths = 0

    def tell(self, _: int, remaining: int, total: int) -> None:
        tenths = 10 * (total - remaining) // total if total else 10
        if self._tenths < tenths < 10:
            _log.info("the backup is at %d %%", 10 * tenths)
        self._tenths = max(self._tenths, tenths)


@contextmanager
def _one_state(connection: sqlite3.Connection) -> Iterator[None]:
    """Read the same state until the end. Without this, a copy in steps begins again after each write of another
    process, and never ends.
    """
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # BEGIN alone reads nothing yet
        yield
    finally:
        connection.execute("ROLLBACK")


def _copy(connection: sqlite3.Connection, to: Path) -> None:
    to.unlink(missing_ok=True)
    descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)  # it contains inputs and outputs of clients
    try:
        copy = sqlite3.connect(to)
        try:
            with _one_state(connection):
                connection.backup(copy, pages=_PAGES_AT_ONCE, progress=_Headway().tell)
        finally:
            copy.close()
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
