"""Events that are written by one statement are those that are written one by one."""

import sqlite3
from pathlib import Path

import pytest

from halley.predictions.records import NewEvent
from halley.predictions.status import EventKind
from halley.store.sqlite import open_sqlite
from halley.store.sqlite.event_rows import INSERT_EVENT, INSERT_EVENTS, event_rows
from halley.testing.clock import T0
from halley.testing.stores.maker import Maker

KINDS = [EventKind.STARTED, EventKind.OUTPUT_SET, EventKind.FINISHED, EventKind.LOGGED] * 33


@pytest.mark.anyio
@pytest.mark.parametrize("count", [*range(9), 15, 16, 17, 64, 65, 131])
async def test_the_rows_are_the_same(tmp_path: Path, count: int) -> None:
    maker, path = Maker(), tmp_path / "halley.db"
    events = [NewEvent(kind=kind, at=T0, data=b"%d" % number) for number, kind in enumerate(KINDS[:count])]
    async with open_sqlite(path, clock=maker.clock):
        pass
    rows = event_rows(maker.prediction(), events, attempt=1, first_seq=2, first_offset=5)
    connection, found = sqlite3.connect(path), []
    for write in (INSERT_EVENTS.insert, lambda connection, rows: connection.executemany(INSERT_EVENT, rows)):
        write(connection, rows)
        found.append(connection.execute("SELECT * FROM events ORDER BY seq").fetchall())
        connection.rollback()
    connection.close()
    assert found[0] == found[1]
    assert len(found[0]) == count
