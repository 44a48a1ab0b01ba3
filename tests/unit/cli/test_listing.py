"""Filters of `halley predictions list`: a Halley server applies them, others send everything."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from halley.cli.client import Client
from halley.cli.failures import ServerRefused, UsageProblem
from halley.cli.listing import Wanted, chosen, read_since

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def item(minutes: int, **members: Any) -> dict[str, Any]:
    created = (AT - timedelta(minutes=minutes)).isoformat()
    return {"id": f"p{minutes}", "model": "demo/fail", "status": "failed", "created_at": created, **members}


ITEMS = [
    item(0, status="starting"),
    item(1, error="CUDA out of Memory"),
    item(2, status="succeeded", model="demo/[x]"),
    item(3, error=None, model=None),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(), "p0 p1 p2 p3"),
        (Wanted(status="failed"), "p1 p3"),
        (Wanted(status="failed,starting"), "p0 p1 p3"),
        (Wanted(error="out of memory"), "p1"),
        (Wanted(model="demo/[x]"), "p2"),
        (Wanted(model="demo/*"), "p0 p1 p2"),
        (Wanted(model="demo/?ail"), ""),
        (Wanted(since=AT - timedelta(minutes=1)), "p0 p1"),
        (Wanted(before=AT - timedelta(minutes=1)), "p2 p3"),
    ],
)
def test_what_an_item_shows_is_compared(wanted: Wanted, ids: str) -> None:
    assert [one["id"] for one in chosen(ITEMS, wanted)] == ids.split()


def test_a_halley_server_gets_the_whole_filter() -> None:
    wanted = Wanted(status="failed", model="demo/*", error="x", since=AT, hidden={"tag": "a b", "key": "k"})
    assert wanted.query() == {
        "status": "failed",
        "model": "demo/*",
        "error": "x",
        "created_after": "2026-01-31T12:00:00.000000Z",
        "tag": "a b",
        "key": "k",
    }
    assert Wanted().query() == {}


def test_a_server_without_filters_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise ServerRefused(404, "not found")

    client = Client.__new__(Client)
    client.target = type("Target", (), {"root": "https://other.example"})()
    monkeypatch.setattr(client, "call", refuse)
    with pytest.raises(ServerRefused, match=r"https://other\.example has no filter for tag"):
        client.require_filters("tag")


def test_the_option_that_is_no_time_is_named() -> None:
    assert read_since(None, "--before") is None
    with pytest.raises(UsageProblem, match="--before 'soon' is not a time"):
        read_since("soon", "--before")
