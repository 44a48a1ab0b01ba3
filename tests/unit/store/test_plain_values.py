"""What SQLite gets is what was given, with and without our answers to the module's question."""

import sqlite3

import pytest

from halley.store.sqlite.plain_values import take_as_they_are

VALUES = [None, b"", b"a\0b", True, False, 0, -1, 2**62, "", "ä", 1.5, bytearray(b"x"), memoryview(b"y")]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_each_value_arrives_as_before(monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    take_as_they_are()
    with_answers = stored(value)
    for kind in (type(None), bytes, bool):
        monkeypatch.delitem(sqlite3.adapters, (kind, sqlite3.PrepareProtocol))
    assert stored(value) == with_answers


def stored(value: object) -> list[tuple[object, str]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a, b BLOB NOT NULL DEFAULT x'00', c INTEGER)")
    connection.execute("INSERT INTO t (a, c) VALUES (?, ?)", (value, value))
    connection.executemany("INSERT INTO t (a, c) VALUES (?, ?)", [(value, value)])
    found = connection.execute("SELECT a, typeof(a) FROM t UNION ALL SELECT c, typeof(c) FROM t").fetchall()
    connection.close()
    return found
