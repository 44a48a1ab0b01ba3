"""The lists of `halley upstreams` with members that are missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from halley.cli import session
from halley.cli.commands import upstreams

CANCELED = {"id": "01kb5", "model": "a/b", "provider": "comet", "created_at": "2026-11-29T01:00:00Z", "error": None}


class Client:
    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        assert path.startswith("/upstreams/unknown")
        yield CANCELED


def test_a_prediction_that_was_canceled_has_no_error_and_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def connect(*_: object) -> Iterator[Client]:
        yield Client()

    monkeypatch.setattr(session, "connect", connect)
    upstreams.list_unknown()
    printed = capsys.readouterr()
    assert "01kb5" in printed.out
    assert "01kb5: canceled, and its run may continue there" in printed.out + printed.err


def test_a_service_is_shown_in_words_of_the_field(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    took = {"p50": 0.031, "p95": 1.5, "count": 7}
    one = {
        "name": "comet", "url": "http://h", "kind": "replicate", "profile": "cometapi", "state": "closed",
        "in_flight": 0, "slots": 20, "submits": 3, "max_submits_per_day": None, "unknown": 0, "opened": 1,
        "submit_seconds": took,
    }  # fmt: skip

    class Services:
        def pages(self, path: str) -> Iterator[dict[str, Any]]:
            yield one

    @contextmanager
    def connect(*_: object) -> Iterator[Services]:
        yield Services()

    monkeypatch.setattr(session, "connect", connect)
    upstreams.show_upstream("comet")
    printed = capsys.readouterr().out
    assert "median 0.03 s, 95th percentile 1.50 s (the last 7)" in printed
    assert "1 time\n" in printed
    upstreams.list_upstreams()
    row = capsys.readouterr().out.splitlines()
    assert row[1].split() == ["comet", "works", "0/20", "3", "0", "replicate", "http://h"]
