"""The short form of `scripts/faults replicas`: whatever models write, nobody gets another's bytes."""

from pathlib import Path
from typing import cast

import pytest

from fault.places_mix import Way, run_shape

pytestmark = [pytest.mark.fault, pytest.mark.slow]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("shape", "way"), [("whisper", "isolated"), ("codeformer", "plain")])
def test_nothing_is_mixed_up_while_the_server_dies(tmp_path: Path, shape: str, way: str) -> None:
    row = run_shape(tmp_path, shape, way=cast("Way", way), predictions=30, kills=1)
    print(row)
    if way == "isolated" and row.faults == ["replicas are {'plain'}"]:
        row = run_shape(tmp_path / "again", shape, way="plain", predictions=30, kills=1)  # this machine has one way
    assert row.faults == []
    assert row.predictions == 30
