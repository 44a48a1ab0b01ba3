"""What a killed server ran is found again, whatever else its clients ask of the next one."""

from pathlib import Path

import pytest

from fault.recovery import WITHIN_SECONDS, Recovery

pytestmark = pytest.mark.fault


@pytest.mark.timeout(120)
def test_a_lost_prediction_begins_again_while_clients_keep_another_model_busy(tmp_path: Path) -> None:
    rounds = Recovery(tmp_path)
    took = rounds.round()
    assert rounds.answered > 20, "the clients were not busy: nothing was tried"
    assert took < 3 * WITHIN_SECONDS  # the long form looks at the time itself; before, it was never
