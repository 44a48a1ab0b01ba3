"""The short forms of `scripts/faults upstream_kills`, and the bugs that they must find."""

from pathlib import Path

import pytest

from fault.upstream_kills import Broken, UpstreamKills
from halley.testing.replicate.service import Style

pytestmark = [pytest.mark.e2e, pytest.mark.fault]


@pytest.mark.parametrize(("style", "creates", "kills"), [("cometapi", 300, 10), ("halley", 30, 2)])
@pytest.mark.timeout(900)
def test_kills_before_a_faulty_service_begin_nothing_twice(
    tmp_path: Path, style: Style, creates: int, kills: int
) -> None:
    mix = UpstreamKills(tmp_path, style, creates=creates, kills=kills)
    mix.check(mix.run(seconds=840))
    assert mix.service.unclear > 0
    assert mix.killed == kills
    assert mix.running


@pytest.mark.parametrize(
    ("planted", "creates", "kills", "found"),
    [
        ("intent_after_call", 300, 10, "begun twice"),
        ("retry_on_524", 300, 10, "begun twice"),
        ("adopt_skipped", 24, 2, "not followed after a restart"),  # it is seen at the end only
    ],
)
@pytest.mark.timeout(900)
def test_a_planted_bug_is_found(tmp_path: Path, planted: str, creates: int, kills: int, found: str) -> None:
    mix = UpstreamKills(tmp_path, "cometapi", creates=creates, kills=kills, planted=planted)
    with pytest.raises(Broken, match=found):
        mix.check(mix.run(seconds=840))
