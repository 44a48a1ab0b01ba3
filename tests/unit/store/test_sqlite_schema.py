"""The file: made, migrated, and refused where it cannot be trusted."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from halley.clock import to_micros
from halley.errors import Unusable
from halley.store.sqlite import open_sqlite
from halley.store.sqlite.schema import connect, migrate, read_migrations
from halley.testing.clock import T0

pytestmark = pytest.mark.anyio


async def made(path: Path) -> None:
    async with open_sqlite(path):
        pass


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in read_migrations()] == list(range(1, len(read_migrations()) + 1))


async def test_a_new_file_gets_the_newest_schema(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    await made(path)
    assert ask(path, "SELECT max(version) FROM schema_version") == [(len(read_migrations()),)]
    await made(path)
    assert ask(path, "SELECT count(*) FROM schema_version") == [(len(read_migrations()),)]


async def test_closing_leaves_one_file(tmp_path: Path) -> None:
    await made(tmp_path / "halley.db")
    assert [path.name for path in tmp_path.iterdir()] == ["halley.db"]


async def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%20 'ü'"
    folder.mkdir()
    await made(folder / "halley.db")
    assert (folder / "halley.db").exists()


async def test_a_newer_schema_is_refused_by_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    await made(path)
    ask(path, "INSERT INTO schema_version VALUES (9041, 0)")
    before = path.read_bytes()
    with pytest.raises(Unusable, match=rf"version 9041.*up to {len(read_migrations())}"):
        await made(path)
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    ask(path, "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(Unusable, match="something else"):
        await made(path)
    assert ask(path, "SELECT name FROM sqlite_schema") == [("recipes",)]


async def test_what_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    path.write_bytes(b"my diary\n" * 1000)
    with pytest.raises(Unusable, match="damaged or not a database"):
        await made(path)
    assert path.read_bytes() == b"my diary\n" * 1000


async def test_a_damaged_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    await made(path)
    whole = bytearray(path.read_bytes())
    for page in range(1, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(whole)
    with pytest.raises(Unusable, match="damaged"):
        await made(path)
    assert path.read_bytes() == whole


async def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="absent"):
        await made(tmp_path / "absent" / "halley.db")


async def test_what_waits_in_a_folder_of_the_first_schema_is_run_by_this_one(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    connection = connect(path, read_only=False, cache_kib=256)
    migrate(connection, path, T0, read_migrations()[:1])
    connection.execute(
        "INSERT INTO predictions (id, account_id, kind, status, revision, model, version, source, priority, provider,"
        " attempts, fence, created_with_wait, created_at, last_seq, has_progress, input)"
        " VALUES ('p', 'a', 'prediction', 'starting', 1, 'acme/echo', 'v', 'api', 0, 'local',"
        " 0, 0, 0, 0, 0, 0, X'7B7D')"
    )
    connection.execute(
        "INSERT INTO queue (prediction_id, version, account_id, priority, fence, attempt, ready_at)"
        " VALUES ('p', 'v', 'a', 0, 0, 0, 0)"
    )
    connection.close()
    async with open_sqlite(path) as store:
        await store.open_session("s", T0, 60)
        (claimed,) = await store.claim("s", {"v": 1}, T0)
    assert (claimed.prediction.id, claimed.work_input, claimed.context) == ("p", b"{}", None)


async def test_webhooks_that_wait_in_a_folder_of_an_older_schema_keep_their_pauses(tmp_path: Path) -> None:
    path = tmp_path / "halley.db"
    connection = connect(path, read_only=False, cache_kib=256)
    migrate(connection, path, T0, read_migrations()[:8])
    now = to_micros(T0)
    for name, next_at in (("tried", now + 30_000_000), ("new", now), ("told", None)):
        connection.execute(
            "INSERT INTO webhook_messages (id, account_id, prediction_id, event, url, endpoint, created_at, state,"
            f" failures, sent, next_at, body) VALUES ('{name}', 'a', '{name}', 'completed', 'u', 'e:1', ?1, 'pending',"
            " 0, 0, ?2, X'7B7D')",
            (now - 60_000_000 if name == "tried" else now, next_at),
        )
    connection.execute(
        "INSERT INTO webhook_deliveries (id, account_id, prediction_id, message_id, event, attempt, url, headers,"
        " body_sha256, body_bytes, started_at)"
        " VALUES ('d', 'a', 'tried', 'tried', 'completed', 1, 'u', '{}', '', 2, ?)",
        (now,),
    )
    connection.close()
    earlier = T0 - timedelta(hours=1)
    async with open_sqlite(path) as store:
        await store.deliveries.take_over("stopped", earlier)
        found = [await store.deliveries.message(name) for name in ("tried", "new", "told")]
    assert [one and one.next_at for one in found] == [earlier + timedelta(seconds=30), earlier, None]


async def test_a_migration_that_fails_leaves_the_step_before(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    connection = connect(path, read_only=False, cache_kib=256)
    good, bad = (1, "CREATE TABLE a (x);"), (2, "CREATE TABLE b (x); CREATE TABLE a (x);")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, T0, [good, bad])
    assert not connection.in_transaction
    assert {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")} == {"schema_version", "a"}
    migrate(connection, path, T0, [good, (2, "CREATE TABLE b (x); -- now it works")])
    assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (2,)
    connection.close()


async def test_who_was_waited_for_before_the_upgrade_is_taken_over_after_it(
    tmp_path: Path,
) -> None:
    """Rows of before belong to no server, as those of a server that is gone."""
    path = tmp_path / "halley.db"
    connection = connect(path, read_only=False, cache_kib=100)
    migrate(connection, path, T0, read_migrations()[:15])
    connection.close()
    ask(path, "INSERT INTO awaited VALUES ('p1'), ('p2')")
    async with open_sqlite(path) as store:
        assert await store.awaited() == ["p1", "p2"]
        assert (await store.keep_awaited("n1", T0, 20.0)).taken == ("p1", "p2")
        assert (await store.keep_awaited("n2", T0, 20.0)).taken == ()
