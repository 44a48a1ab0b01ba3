"""Failures in groups, and what the newest predictions say."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.predictions import fingerprints
from halley.predictions.error_groups import MOST_GROUPS, MOST_INTERVALS, group_errors, intervals
from halley.predictions.fingerprints import fingerprint
from halley.predictions.overview import MOST_FAILURES, _times
from halley.predictions.search import Failure, FoundFailures

NOW = datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)
DAY = timedelta(days=1)
pytestmark = pytest.mark.anyio


def failure(minutes: float, error: str, model: str = "demo/a") -> Failure:
    return Failure(id=f"{minutes}", model=model, error=error, created_at=NOW - timedelta(minutes=minutes))


def found(failures: list[Failure]) -> FoundFailures:
    return FoundFailures(items=tuple(failures), looked_at=len(failures))


async def test_the_largest_group_comes_first() -> None:
    failures = [
        failure(1, "no file 7"),
        failure(2, "out of memory: 3 GiB"),
        failure(70, "no file 9"),
        failure(80, "no file 9", "demo/b"),
        failure(90, "no file 9"),
    ]
    report = await group_errors(found(failures), NOW - DAY, NOW)
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


async def test_many_groups_are_cut() -> None:
    report = await group_errors(found([failure(n, "x", f"demo/{n}") for n in range(MOST_GROUPS + 7)]), NOW - DAY, NOW)
    assert (len(report.groups), report.left_out) == (MOST_GROUPS, 7)


async def test_no_failure_is_no_group() -> None:
    assert (await group_errors(found([]), NOW, NOW)).groups == ()


@given(st.timedeltas(timedelta(), timedelta(days=36500)), st.floats(0, 1))
async def test_every_time_is_in_an_interval(span: timedelta, part: float) -> None:
    since = NOW - span
    start, length, count = intervals(since, NOW)
    assert count <= MOST_INTERVALS
    assert start <= since
    place = (since + span * part - start).total_seconds() // length
    assert 0 <= place < count
    one = Failure(id="x", model="a/b", error="", created_at=since + span * part)
    report = await group_errors(found([one]), since, NOW)
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


async def test_long_errors_leave_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []  # characters between two turns of another task

    def noted(error: str) -> str:
        read[-1] += len(error)
        return error

    async def other() -> None:
        while True:
            read.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(fingerprints, "normalised", noted)
    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    await group_errors(found([failure(n, f"{n} {NOW}" * 100) for n in range(200)]), NOW - DAY, NOW)
    task.cancel()
    assert sum(read) == 200 * 2000
    assert max(read) <= 3 * 2000


async def test_a_text_is_read_once_for_a_report_that_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    normalised = fingerprints.normalised

    def noted(error: str) -> str:
        read.append(error)
        return normalised(error)

    monkeypatch.setattr(fingerprints, "normalised", noted)
    failures = found([failure(n, f"text {n} of a report that is read again") for n in range(MOST_FAILURES)])
    first = await group_errors(failures, NOW - DAY, NOW)
    assert await group_errors(failures, NOW - DAY, NOW) == first
    assert len(read) == MOST_FAILURES
