"""Every end is told, under one id, in order, and every attempt is in the log: with a failing receiver and kill -9.

The same harness must find planted bugs, or its silence means nothing.
"""

from pathlib import Path

import pytest

from fault.webhook_mix import Found, Mix, until_found

pytestmark = [pytest.mark.fault, pytest.mark.slow]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_three_hundred_ends_arrive_through_twelve_kills(tmp_path: Path, seed: int) -> None:
    found = Mix(tmp_path, predictions=300, kills=12, seed=seed).run()
    print(found)
    assert not found.violations
    assert found.predictions == 300
    assert found.kills == 12
    assert found.timeouts >= 3, "the silent receiver was never waited for"
    assert found.refused > found.arrived // 10
    assert found.interrupted >= 3, "no kill came in the middle of an attempt: nothing was tried"


@pytest.mark.timeout(900)
def test_planted_bug_a_position_before_its_message_is_found(tmp_path: Path) -> None:
    def run(seed: int) -> Found:
        home = tmp_path / str(seed)
        home.mkdir()
        return Mix(home, predictions=100, kills=8, planted="webhook_position_first", seed=seed).run()

    found = until_found(run, tries=4, what="missing")
    print(found)


@pytest.mark.timeout(900)
def test_planted_bug_an_end_that_overtakes_is_found(tmp_path: Path) -> None:
    def run(seed: int) -> Found:
        home = tmp_path / str(seed)
        home.mkdir()
        return Mix(home, predictions=60, kills=0, planted="webhook_overtakes", seed=seed).run()

    found = until_found(run, tries=3, what="overlapping")
    print(found)


@pytest.mark.timeout(900)
def test_planted_bug_two_passing_states_at_once_are_found(tmp_path: Path) -> None:
    def run(seed: int) -> Found:
        home = tmp_path / str(seed)
        home.mkdir()
        return Mix(
            home, predictions=60, kills=0, planted="webhook_in_parallel", seed=seed, longest_nap_seconds=2.0
        ).run()

    found = until_found(run, tries=3, what="overlapping")
    print(found)
    assert any(pair.count("processing") == 2 for pair in found.overlapping), "not only ends that overtake"
