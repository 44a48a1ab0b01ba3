"""A large database is filled by the server's own store, also in several calls, and is compared with a small one."""

import time
from pathlib import Path
from typing import Any

import fill
import pytest
import stored
from fill import Filler, count
from stored import lines

from halley.store.sqlite import open_sqlite

ROW = {"account_id": "anna", "key_id": None, "version": "a" * 64}


@pytest.mark.anyio
async def test_a_database_is_filled_up_to_a_number_and_by_a_time(tmp_path: Path) -> None:
    database = fill.database(tmp_path)
    database.parent.mkdir()
    async with open_sqlite(database) as store:
        side = Filler(store, ROW)
        await store.open_session(fill.SESSION, side.clock.now(), fill.SESSION_SECONDS)
        assert await side.fill(fill.BATCH + 3, time.monotonic() + 120) == fill.BATCH + 3
        assert await side.fill(1000, time.monotonic()) == 0, "the time is over"
        assert count(tmp_path) == fill.BATCH + 3
        page = await store.page("anna", limit=500)
        assert {one.status for one in page.items} == {"succeeded"}
        assert {one.output for one in page.items} == {fill.OUTPUT}
        assert await stored.claims(side) > 0
        assert count(tmp_path) == fill.BATCH + 3 + stored.CLAIMS


def test_ten_pages_are_read_and_then_the_newest_again() -> None:
    asked = []
    client: Any = stored.Client(None, 1, [])

    def ask(_: str, path: str) -> str:
        asked.append(path)
        return f'{{"next": "http://127.0.0.1:1/v1/predictions?cursor={len(asked)}"}}'

    client.ask = ask
    for _ in range(stored.PAGES + 2):
        client.page()
    newest = "/v1/predictions"
    assert asked[:3] == [newest, f"{newest}?cursor=1", f"{newest}?cursor=2"]
    assert asked[stored.PAGES :] == [newest, f"{newest}?cursor={stored.PAGES + 1}"]


def test_a_ratio_above_the_limit_is_marked() -> None:
    found = {"claim": {"many": [10.0, 12.0, 11.0], "few": [10.0]}, "GET": {"many": [12.0], "few": [10.0]}}
    head, claim, get = lines(found, {"many": 100_000, "few": 1000})
    assert head.split()[-3:] == ["100000", "1000", "ratio"]
    assert claim.split() == ["claim", "11", "10", "1.10"]
    assert get.split() == ["GET", "12", "10", "1.20", "over"]
