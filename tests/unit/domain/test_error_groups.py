"""Failures in groups, and what the newest predictions say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.predictions.error_groups import MOST_GROUPS, MOST_INTERVALS, group_errors, intervals
from halley.predictions.fingerprints import fingerprint
from halley.predictions.overview import _times
from halley.predictions.search import Failure

NOW = datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)
DAY = timedelta(days=1)


def failure(minutes: float, error: str, model: str = "demo/a") -> Failure:
    return Failure(id=f"{minutes}", model=model, error=error, created_at=NOW - timedelta(minutes=minutes))


def test_the_largest_group_comes_first() -> None:
    failures = [
        failure(1, "no file 7"),
        failure(2, "out of memory: 3 GiB"),
        failure(70, "no file 9"),
        failure(80, "no file 9", "demo/b"),
        failure(90, "no file 9"),
    ]
    report = group_errors(failures, NOW - DAY, NOW)
    assert [(one.model, one.count, one.error) for one in report.groups] == [
        ("demo/a", 3, "no file 7"),
        ("demo/a", 1, "out of memory: 3 GiB"),
        ("demo/b", 1, "no file 9"),
    ]
    first = report.groups[0]
    assert first.group == fingerprint("demo/a", "no file 1")
    assert (first.example_id, first.first_at, first.last_at) == ("1", failures[4].created_at, failures[0].created_at)
    assert (report.interval_seconds, len(first.counts)) == (3600, 25)
    assert first.counts[-3:] == (0, 2, 1)
    assert (report.looked_at, report.is_complete, report.left_out) == (5, True, 0)


def test_many_groups_are_cut() -> None:
    report = group_errors([failure(n, "x", f"demo/{n}") for n in range(MOST_GROUPS + 7)], NOW - DAY, NOW)
    assert (len(report.groups), report.left_out) == (MOST_GROUPS, 7)


def test_no_failure_is_no_group() -> None:
    assert group_errors([], NOW, NOW).groups == ()


@given(st.timedeltas(timedelta(), timedelta(days=36500)), st.floats(0, 1))
def test_every_time_is_in_an_interval(span: timedelta, part: float) -> None:
    since = NOW - span
    start, length, count = intervals(since, NOW)
    assert count <= MOST_INTERVALS
    assert start <= since
    place = (since + span * part - start).total_seconds() // length
    assert 0 <= place < count
    report = group_errors([Failure(id="x", model="a/b", error="", created_at=since + span * part)], since, NOW)
    assert sum(report.groups[0].counts) == 1


@pytest.mark.parametrize(
    ("seconds", "p50", "p95"),
    [([3.0], 3, 3), ([1.0, 2.0], 1, 2), ([float(n) for n in range(100, 0, -1)], 50, 95), ([-1.0], 0, 0)],
)
def test_percentiles_are_values_that_occurred(seconds: list[float], p50: float, p95: float) -> None:
    times = _times(seconds)
    assert times is not None
    assert (times.count, times.p50, times.p95) == (len(seconds), p50, p95)


def test_without_runs_there_are_no_times() -> None:
    assert _times([]) is None
