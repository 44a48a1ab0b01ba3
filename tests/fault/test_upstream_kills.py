"""The short form of `scripts/faults upstream_kills`."""

from pathlib import Path

import pytest

from fault.upstream_kills import UpstreamKills

pytestmark = [pytest.mark.e2e, pytest.mark.fault]


def test_kills_before_a_faulty_service_begin_nothing_twice(tmp_path: Path) -> None:
    mix = UpstreamKills(tmp_path, "halley", creates=30, kills=2)
    mix.check(mix.run(seconds=55))
    assert mix.service.unclear > 0
