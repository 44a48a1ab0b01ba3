"""The row of the runner can be measured: its program uses the provider as it is now."""

import runner


def test_calls_are_made_and_timed() -> None:
    found = runner.run(runner.calls("sync", 2, 0.02))
    assert found["rate"] > 0
    assert 0 < found["p50"] <= found["p99"]
