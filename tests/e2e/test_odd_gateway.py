"""The command line against a gateway that answers in odd ways: the right exit code, no traceback, bounded time."""

import itertools
import json
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.odd_gateway import ANSWERS, OddGateway
from halley.cli import connection
from halley.cli.main import run_command

NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ONE, TWO = ["one.png"], ["one.png", "two.png"]

# for each prediction of the gateway: exit code, saved files, words on stderr
EXPECTED = {
    "list": (0, TWO, "succeeded"),
    "string": (0, ONE, "succeeded"),
    "object": (0, TWO, "succeeded"),
    "nested": (0, TWO, "succeeded"),
    "with-nulls": (0, ONE, "succeeded"),
    "number": (0, [], "no files"),
    "empty-list": (0, [], "no files"),
    "empty-text": (0, [], "no files"),
    "deep": (0, ONE, "succeeded"),
    "text-pieces": (0, [], "no files"),
    "text-with-link": (0, [], "no files"),
    "text-names-link": (0, [], "no files"),
    "data-urls": (0, ["output-0.png", "output-1.txt"], "succeeded"),
    "minimal": (0, ONE, "succeeded"),
    "other-id": (0, ONE, "succeeded"),
    "nulls": (0, ONE, "succeeded"),
    "no-id": (3, None, "not a prediction"),
    "no-status": (3, None, "not a prediction"),
    "relative": (0, ["relative.png"], "succeeded"),
    "loop": (3, ONE, "more than 5 redirects"),
    "to-file": (3, ONE, "file:///etc/passwd"),
    "to-nowhere": (3, ONE, "without a location"),
    "gone": (3, ONE, "404"),
    "broken": (3, ONE, "500"),
    "bad-links": (3, ONE, "3 of 4 files were not saved"),
    "page": (0, ["page.png"], "text/html data, not image/png"),
    "webp": (0, ["webp.png"], "image/webp data, not image/png"),
    "empty-file": (0, ["empty.png"], "succeeded"),
    "no-output-ever": (3, [], "the server sent no output"),
    "output-left-out": (3, [], "the server sent no output"),
    "output-late": (0, ONE, "succeeded"),
    "removed": (7, [], "was removed"),
    "failed": (4, [], "NSFW content detected"),
    "failed-object": (4, [], "boom"),
    "canceled": (5, [], "canceled"),
    "aborted": (5, [], "aborted"),
    "queued": (0, ONE, "'queued'"),
    "SUCCESS": (9, None, "'SUCCESS'"),
    "no-word": (9, None, "''"),
    "forever": (9, None, "has not ended after 30 s"),
    "error-text": (3, None, "boom"),
    "error-object": (3, None, "internal failure"),
    "error-bad-request": (2, None, "bad id"),
    "error-twice": (0, ONE, "succeeded"),
    "page-200": (3, None, "text/html instead of JSON"),
    "page-404": (3, None, "text/html instead of JSON"),
    "login": (3, None, "redirects to"),
    "nothing": (3, None, "not a prediction"),
    "null": (3, None, "instead of JSON"),
    "cut": (3, None, "instead of JSON"),
    "bom": (0, [], "succeeded"),
    "latin": (4, [], "caf\xe9"),
    "very-deep": (3, None, "instead of JSON"),
    "throttled": (0, ONE, "succeeded"),
    "throttled-till-a-date": (0, ONE, "succeeded"),
    "throttled-long": (9, None, "999999 s"),
    "no-quota": (8, None, "quota exhausted"),
    "forbidden": (6, None, "no permission"),
    "unknown": (7, None, "task not found"),
    "drops": (0, ONE, "succeeded"),
    "backwards": (0, ONE, "succeeded"),
}


class QuickTiming:
    """A clock that sleeping moves, beside the seconds that really pass."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 60
        self.skipped += seconds

    def random(self) -> float:
        return 0.5


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QuickTiming:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith(("HALLEY_", "REPLICATE_"))]:
        monkeypatch.delenv(name)
    timing = QuickTiming()
    monkeypatch.setattr(connection, "SystemTiming", lambda: timing)
    monkeypatch.setattr(
        connection, "trusting_context", lambda _: NO_TRUST
    )  # reading the system's takes most of the time
    return timing


@pytest.fixture(scope="module")
def gateway() -> Iterator[OddGateway]:
    with OddGateway() as server:
        yield server


@pytest.fixture(autouse=True)
def first_reading(gateway: OddGateway) -> None:
    gateway.readings.clear()
    gateway.seen.clear()


def watch(gateway: OddGateway, id: str, folder: Path, *more: str) -> int:
    place = ["--server", f"{gateway.url}/replicate/v1", "--token", "t"]
    return run_command(["predictions", "watch", id, "--save", str(folder), *place, *more])


def saved(folder: Path) -> list[str] | None:
    if not (folder / "prediction.json").is_file():
        return None
    return sorted(path.name for path in folder.iterdir() if path.name != "prediction.json")


def test_every_odd_answer_is_listed():
    assert set(EXPECTED) == set(ANSWERS)


@pytest.mark.parametrize("id", EXPECTED)
def test_an_odd_answer_ends_with_the_right_code_in_bounded_time(gateway, quick, tmp_path, capsys, id):
    code, files, words = EXPECTED[id]
    assert watch(gateway, id, tmp_path / "kept", "--timeout", "30s") == code
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert "something unexpected" not in said
    assert saved(tmp_path / "kept") == files
    assert quick.skipped <= 60


@pytest.mark.parametrize("id", ["no-output-ever", "output-left-out", "removed"])
def test_what_has_no_output_never_counts_as_complete(gateway, quick, tmp_path, id):
    first = watch(gateway, id, tmp_path / "kept")
    asked = len(gateway.seen)
    assert watch(gateway, id, tmp_path / "kept") == first != 0
    assert len(gateway.seen) > asked  # it asks again, instead of saying that all is there
    assert quick.skipped < 60


def test_output_that_comes_later_completes_the_folder(gateway, tmp_path):
    assert watch(gateway, "no-output-ever", tmp_path / "kept") == 3
    ids = itertools.repeat("list")
    gateway.answer = lambda name, number: ANSWERS[next(ids)](gateway, name, number)  # type: ignore[method-assign]
    try:
        assert watch(gateway, "no-output-ever", tmp_path / "kept") == 0
    finally:
        del gateway.answer
    assert saved(tmp_path / "kept") == TWO


@pytest.mark.parametrize(("id", "broken"), [("to-nowhere", 1), ("bad-links", 3), ("broken", 1)])
def test_a_bad_link_is_recorded_for_its_asset(gateway, tmp_path, id, broken):
    assert watch(gateway, id, tmp_path / "kept") == 3
    record = json.loads((tmp_path / "kept" / "prediction.json").read_bytes())
    assert [bool(asset["error"]) for asset in record["assets"]] == [True] * broken + [False]


def test_a_long_pause_is_capped_and_reported(gateway, quick, tmp_path, capsys):
    assert watch(gateway, "throttled-long", tmp_path / "kept") == 0
    assert 60 <= quick.skipped < 70
    assert "asks to wait 999999 s: trying again in 60 s" in capsys.readouterr().err


def test_a_timeout_counts_while_a_server_asks_for_a_pause(gateway, quick, tmp_path, capsys):
    assert watch(gateway, "throttled-long", tmp_path / "kept", "--timeout", "5s") == 9
    assert quick.skipped <= 5
    assert "999999" in capsys.readouterr().err


def test_nothing_is_fetched_that_a_text_only_mentions(gateway, tmp_path):
    for name in ("text-pieces", "text-with-link", "text-names-link"):
        assert watch(gateway, name, tmp_path / name) == 0
    assert not [request.path for request in gateway.seen if request.path.startswith("/a/")]


@pytest.mark.parametrize("words", [["show"], ["logs"]])
def test_removed_data_is_reported_where_a_prediction_is_shown(gateway, capsys, words):
    place = ["--server", f"{gateway.url}/replicate/v1", "--token", "t"]
    assert run_command(["predictions", *words, "removed", *place]) == 0
    assert "were removed from the server" in capsys.readouterr().err
