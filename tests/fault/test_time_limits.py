"""The three clocks with the real server, many predictions, a kill in the middle: all end, once, and say why."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(300)]

MODELS: Final = Path(__file__).parents[1] / "e2e" / "models"
CONFIG: Final = f"""
[server]
access_log = false
[runs]
run_timeout_seconds = 4
max_queue_seconds = 12
[models."test/pace"]
path = "{MODELS / "pace"}"
preload = true
"""
WAYS: Final = {
    (None, "succeeded"),
    ("run_timeout", "failed"),
    ("deadline", "canceled"),
    ("deadline_before_start", "canceled"),  # stored as aborted, shown so
    ("queue_time", "canceled"),
    ("queue_time", "failed"),  # it had begun before the kill
    ("worker_lost", "failed"),
}
PREDICTIONS: Final = 150


def test_everything_ends_once_and_says_why(tmp_path: Path) -> None:
    with Halley(tmp_path, "--no-demo", config=CONFIG) as server:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: _create(server, n), range(PREDICTIONS)))
            time.sleep(3)
            server.kill()
            server.start()
            ended = [_ended(server, one, began + 200) for one in made]
            finishes = list(pool.map(lambda one: _finishes(server, one), made))
    ways = Counter((one.get("termination_reason"), one["status"]) for one in ended)
    print(dict(ways))
    assert set(ways) <= WAYS
    assert {reason for reason, _ in ways} >= {None, "run_timeout", "deadline_before_start", "queue_time"}
    assert finishes == [1] * PREDICTIONS


def _create(server: Halley, number: int) -> str:
    kind = number % 3
    seconds, headers = (0.3 if kind == 0 else 600.0), ({"Cancel-After": "7"} if kind == 1 else {})
    body = {"input": {"seconds": seconds}}
    status, _, made = server.call("POST", "/v1/models/test/pace/predictions", body, headers=headers)
    assert status == 201, made
    return str(made["id"])


def _ended(server: Halley, prediction_id: str, latest: float) -> dict[str, Any]:
    while True:
        _, _, row = server.call("GET", f"/v1/predictions/{prediction_id}", headers={"Prefer": "wait=20"})
        if row["status"] not in ("starting", "processing"):
            return dict(row)
        assert time.monotonic() < latest, row


def _finishes(server: Halley, prediction_id: str) -> int:
    _, _, page = server.call("GET", f"/v1/predictions/{prediction_id}/events")
    told = [event["data"]["status"] for event in page["results"] if event["event"] == "status"]
    return sum(status not in ("starting", "processing") for status in told)
