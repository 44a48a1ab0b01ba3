"""Before its schema changes the database is copied; the copy leads back to the older release."""

import logging
import shutil
import sqlite3
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest
from process import Halley

from halley.errors import Unusable
from halley.store.sqlite import open_sqlite
from halley.store.sqlite.backups import _Headway, back_up
from halley.store.sqlite.schema import connect, prepare, read_migrations
from halley.testing.clock import T0, FakeClock

pytestmark = pytest.mark.anyio
NEWEST = len(read_migrations())


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch):
    """Start as the release before the newest migration would; gives all that is in the database then."""

    def run(path: Path, *, rows: int = 0) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setattr("halley.store.sqlite.schema.read_migrations", lambda: read_migrations()[:-1])
            connection = connect(path, read_only=False, cache_kib=256)
            try:
                prepare(connection, path, T0, keep_backups=3)
                for number in range(rows):
                    connection.execute(
                        "INSERT INTO accounts (id, username, type, name, weight, created_at)"
                        " VALUES (?, ?, 'user', '', 1, 0)",
                        (f"a{number}", f"anna-{number}"),
                    )
                return list(connection.iterdump())
            finally:
                connection.close()

    return run


def version_of(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT max(version) FROM schema_version").fetchone()[0])
    finally:
        connection.close()


async def upgrade(path: Path, at=T0, keep: int = 3) -> list[Path]:
    async with open_sqlite(path, clock=FakeClock(at), keep_backups=keep):
        pass
    return sorted((path.parent / "backups").glob("*"))


async def test_an_upgrade_can_be_taken_back(tmp_path, older, caplog) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "halley.db"
    before = older(path, rows=50)
    (backup,) = await upgrade(path)
    assert version_of(path) == NEWEST
    assert version_of(backup) == NEWEST - 1
    assert f"schema{NEWEST - 1:04d}" in backup.name
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backup.parent.stat().st_mode & 0o777 == 0o700
    assert str(backup) in caplog.text
    with pytest.raises(Unusable, match=rf"version {NEWEST}; .*up to {NEWEST - 1}.* {backup}"):
        older(path)
    for name in ("-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    shutil.copy(backup, path)
    assert older(path) == before


async def test_a_database_without_an_upgrade_is_not_copied(tmp_path) -> None:
    path = tmp_path / "halley.db"
    assert await upgrade(path) == []  # new
    assert await upgrade(path) == []  # the newest already


async def test_only_the_newest_copies_are_kept(tmp_path, older) -> None:
    path = tmp_path / "halley.db"
    older(path, rows=1)
    shutil.copy(path, tmp_path / "old.db")
    seen = []
    for day in range(4):
        for name in ("-wal", "-shm"):
            Path(f"{path}{name}").unlink(missing_ok=True)
        shutil.copy(tmp_path / "old.db", path)
        seen = await upgrade(path, T0 + timedelta(days=day), keep=2)
    assert len(seen) == 2
    assert [f"{T0 + timedelta(days=day):%Y%m%d}" in copy.name for day, copy in zip((2, 3), seen, strict=True)] == [
        True,
        True,
    ]


async def test_what_killed_copies_left_is_deleted_before_the_next_one(tmp_path, older) -> None:
    path = tmp_path / "halley.db"
    older(path, rows=1)
    (tmp_path / "backups").mkdir(mode=0o700)
    for name in (
        "halley-schema0001-20260101T000000Z.part",
        "halley-schema0001-20260101T000000Z.part-journal",
        "own.part",
    ):
        (tmp_path / "backups" / name).write_bytes(b"half of it")
    (backup, own) = await upgrade(path)
    assert (version_of(backup), own.name) == (NEWEST - 1, "own.part")


async def test_a_long_copy_and_long_steps_say_how_far_they_are(tmp_path, older, caplog, monkeypatch) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("halley.store.sqlite.backups._PAGES_AT_ONCE", 1)
    monkeypatch.setattr("halley.store.sqlite.schema.CHECK_LIMIT_BYTES", 0)
    path = tmp_path / "halley.db"
    older(path, rows=1)
    caplog.clear()
    await upgrade(path)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "a backup of the database (0 MB) is made first"
    assert told[1:10] == [f"the backup is at {tenths} %" for tenths in range(10, 100, 10)]
    assert told[-1] == f"schema version {NEWEST} of {NEWEST}"


def test_a_copy_ends_although_another_process_writes(tmp_path, older, caplog, monkeypatch) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "halley.db"
    older(path, rows=20)
    source, other = (connect(path, read_only=False, cache_kib=256) for _ in range(2))
    steps = []

    class WritesBetween(_Headway):
        def tell(self, *numbers: int) -> None:
            super().tell(*numbers)
            steps.append(numbers)
            assert len(steps) < 1000, "it begins again and again"
            other.execute("UPDATE accounts SET weight = weight + 1")

    monkeypatch.setattr("halley.store.sqlite.backups._PAGES_AT_ONCE", 4)
    monkeypatch.setattr("halley.store.sqlite.backups._Headway", WritesBetween)
    copied = back_up(source, path, NEWEST - 1, T0, keep=3)
    assert not source.in_transaction
    other.close()
    source.close()
    copy = sqlite3.connect(copied)
    assert copy.execute("SELECT DISTINCT weight FROM accounts").fetchall() == [(1,)]
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy.close()
    assert len(steps) > 5


async def test_no_room_for_the_copy_changes_nothing(tmp_path, older, monkeypatch) -> None:
    path = tmp_path / "halley.db"
    older(path, rows=1)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9, 4096))
    with pytest.raises(Unusable, match=r"backup .* cannot be made: .*upgrades\.backup = false"):
        await upgrade(path)
    assert version_of(path) == NEWEST - 1
    assert list((tmp_path / "backups").iterdir()) == []
    assert await upgrade(path, keep=0) == []
    assert version_of(path) == NEWEST


async def test_a_copy_that_cannot_be_made_stops_the_upgrade(tmp_path, older) -> None:
    path = tmp_path / "halley.db"
    older(path, rows=1)
    (tmp_path / "backups").write_text("a file where the folder should be")
    with pytest.raises(Unusable, match="cannot be made"):
        await upgrade(path)
    assert version_of(path) == NEWEST - 1


@pytest.mark.e2e
def test_a_server_says_that_it_made_a_backup(tmp_path, older) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with Halley(tmp_path, "--no-demo"):
        pass
    for old in (tmp_path / "data").glob("halley.db*"):
        old.unlink()
    older(tmp_path / "data" / "halley.db", rows=1)
    with Halley(tmp_path, "--no-demo") as server:
        assert server.call("GET", "/v1/account")[0] == 200
    (backup,) = (tmp_path / "data" / "backups").iterdir()
    assert str(backup) in server.log()
