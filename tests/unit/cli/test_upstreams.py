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
