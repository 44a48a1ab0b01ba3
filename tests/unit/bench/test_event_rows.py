"""Words and lines are counted whole, and divided by the CPU time that they took."""

import subprocess
import time
from types import SimpleNamespace
from typing import Any

import event_rows
import machine
import pytest
import rows
from event_rows import LINES, Lines, Words, microseconds
from halley_server import NotServed


def meter(monkeypatch: pytest.MonkeyPatch, *readings: float) -> None:
    left = iter(readings)
    monkeypatch.setattr(event_rows, "exact_cpu_seconds", lambda _: next(left))


def logged(lines: int) -> Any:
    return SimpleNamespace(process=None, create_and_wait=lambda *_: {"logs": "a line\n" * lines})


def test_lines_are_counted_by_the_cpu_time_of_all_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    meter(monkeypatch, 10.0, 10.5)
    assert Lines("lines").measure(logged(LINES), seconds=2, has_wrk=False) == 2 * LINES / 0.5


def test_a_lost_line_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    meter(monkeypatch, 10.0, 10.5)
    with pytest.raises(NotServed, match="999 of 1000 lines"):
        Lines("lines").measure(logged(LINES - 1), seconds=1, has_wrk=False)


@pytest.mark.parametrize(("came", "figure"), [(600, 2 * 600 / 0.5), (599, None)])
def test_words_are_those_of_every_reader(came: int, figure: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def delivered(_front: Any, _start: Any, requests: list[Any], *_: Any) -> tuple[int, float]:
        assert len(requests) == 3
        return came, 0.25

    monkeypatch.setattr(event_rows, "delivered", delivered)
    monkeypatch.setattr(event_rows, "ask", lambda *_: {"id": "a"})
    server: Any = SimpleNamespace(base="", process=None, front=SimpleNamespace(streamed=lambda made: made["id"]))
    if figure is None:
        with pytest.raises(NotServed, match="1198 of 1200 words"):
            Words("words", 3).measure(server, seconds=2, has_wrk=False)
    else:
        assert Words("words", 3).measure(server, seconds=2, has_wrk=False) == figure


def test_a_rate_by_cpu_second_is_shown_as_the_cpu_time_of_one() -> None:
    assert microseconds(2000) == 500


def test_the_cpu_clock_of_a_process_grows_with_its_work_only() -> None:
    with subprocess.Popen(["sleep", "60"]) as idle:
        first = machine.exact_cpu_seconds(idle)
        time.sleep(0.05)
        assert 0 <= machine.exact_cpu_seconds(idle) - first < 0.05
        idle.kill()
    assert machine.exact_cpu_seconds(idle) == 0, "it is over"


@pytest.mark.parametrize("row", ["lifecycle-8", "lifecycle-1", "lifecycle-p50"])
def test_a_row_at_few_connections_is_compared_with_the_floor_at_as_many(row: str) -> None:
    assert rows.ROWS[row].floor == row


def test_the_median_of_one_client_is_shown_so_that_more_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "wrk", lambda *_, **__: {"refused": 0, "p50": 2.0})
    server: Any = SimpleNamespace(process=None, create_url="http://127.0.0.1:1/v1/create")
    assert rows.ROWS["lifecycle-p50"].measure(server, 1, has_wrk=True) == 500
    with pytest.raises(NotServed, match="wrk"):
        rows.ROWS["lifecycle-p50"].measure(server, 1, has_wrk=False)
