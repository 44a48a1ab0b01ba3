"""Nothing acknowledged is lost, nothing ends twice, nothing overturns a cancel, nothing hangs: counted, not believed.

The same harness must find a planted bug, or its silence means nothing.
"""

from pathlib import Path
from typing import Final

import pytest

from fault.kill_mix import Schedule, run_mix

ENDINGS: Final = {"succeeded", "canceled", "failed replica_died", "failed worker_lost"}

pytestmark = [pytest.mark.fault, pytest.mark.slow]


@pytest.mark.timeout(1200)
def test_forty_crashes_of_servers_and_replicas_lose_nothing(tmp_path: Path) -> None:
    schedule = Schedule()
    report = run_mix(tmp_path, schedule)
    print(report)
    assert not report.violations
    assert set(report.statuses) <= ENDINGS, "something ended for a reason that nobody gave it"
    assert report.acknowledged >= schedule.predictions
    assert report.server_deaths >= schedule.server_deaths
    assert report.of_them_at_failpoints >= schedule.server_deaths // 4
    assert report.of_these_with_direct_creates >= 1
    assert report.replica_deaths >= schedule.replica_deaths
    assert report.pauses == schedule.pauses
    assert report.taken_back >= schedule.pauses


@pytest.mark.timeout(600)
def test_an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    report = run_mix(
        tmp_path,
        Schedule(
            predictions=100,
            server_deaths=12,
            replica_deaths=0,
            pauses=0,
            ways=("before_commit",),
            chance=1.0,
            planted="ack_before_commit",
            until_caught=True,
        ),
    )
    print(report)
    assert report.verdict.lost, "answers left before their commit, and nobody noticed"


@pytest.mark.timeout(600)
def test_a_missing_fence_is_found(tmp_path: Path) -> None:
    report = run_mix(
        tmp_path,
        Schedule(predictions=100, server_deaths=0, replica_deaths=0, pauses=10, planted="no_fence", until_caught=True),
    )
    print(report)
    assert report.verdict.stale or report.verdict.two_terminals or report.verdict.overturned, (
        "holders of lost leases wrote on, and nobody noticed"
    )
