"""What a killed server ran is found again, whatever else its clients ask of the next one."""

from pathlib import Path

import pytest

from fault.recovery import Recovery

pytestmark = pytest.mark.fault


@pytest.mark.timeout(240)
def test_a_lost_prediction_begins_again_while_clients_keep_another_model_busy(tmp_path: Path) -> None:
    rounds = Recovery(tmp_path)
    took = rounds.round()
    print(f"{took:.2f} s")  # it began, which the round waits for; the long form looks at the time itself
    assert rounds.answered
