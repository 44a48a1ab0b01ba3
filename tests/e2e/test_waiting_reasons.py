"""Whoever waits for a model can see what it waits for."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

SLOW = """
import os, time

class Runner:
    def setup(self):
        print("weights: shard 1 of 3", flush=True)
        while not os.path.exists("{gate}"):
            time.sleep(0.02)

    def run(self, seconds: float = 0.0) -> str:
        return "ready"
"""
LARGE = """
import os, time

class Runner:
    def setup(self):
        self.weights = b"x" * 100_000_000

    def run(self) -> str:
        print("begun", flush=True)
        while not os.path.exists("{gate}"):
            time.sleep(0.02)
        return "done"
"""


@pytest.fixture
def halley(tmp_path: Path) -> Iterator[Halley]:
    config = '[memory]\nbudget_bytes = "190MB"\n'
    for name, code in (("slow", SLOW), ("large", LARGE), ("other", LARGE)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.py").write_text(code.replace("{gate}", str(tmp_path / f"{name}-may")))
        (folder / "cog.yaml").write_text("run: run.py:Runner\n")
        config += f'[models."local/{name}"]\npath = "{folder}"\n'
    with Halley(tmp_path, "--no-demo", config=config) as server:
        yield server


def until(what: Callable[[], Any], reached: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 120
    while not reached(found := what()):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def create(halley: Halley, model: str) -> Callable[[], Any]:
    status, _, row = halley.call("POST", f"/v1/models/local/{model}/predictions", {"input": {}})
    assert status == 201, row
    return lambda: halley.call("GET", f"/v1/predictions/{row['id']}")[2]


def test_the_last_line_of_a_model_that_loads(halley: Halley, tmp_path: Path) -> None:
    slow = create(halley, "slow")
    line = "weights: shard 1 of 3"
    row = until(slow, lambda row: line in row.get("starting_reason", ""))
    assert row["starting_reason"] == f"its model is being loaded: {line}"
    rows = halley.call("GET", "/v1/replicas")[2]["results"]
    assert [row["reason"] for row in rows if row["model"] == "local/slow"] == [line]
    (tmp_path / "slow-may").touch()
    done = until(slow, lambda row: row["status"] == "succeeded")
    assert "starting_reason" not in done


def test_a_model_that_waits_for_memory(halley: Halley, tmp_path: Path) -> None:
    holder = create(halley, "large")
    until(holder, lambda row: "begun" in row["logs"])
    waits = create(halley, "other")
    row = until(waits, lambda row: "memory" in row.get("starting_reason", ""))
    assert row["starting_reason"].startswith("its model waits for")
    assert row["starting_reason"].endswith("held by local/large")
    for name in ("large", "other"):
        (tmp_path / f"{name}-may").touch()
    assert until(waits, lambda row: row["status"] == "succeeded")["output"] == "done"
