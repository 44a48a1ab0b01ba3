"""Predictions that share a process with one that crashes, or must be ended by force, lose nothing."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley

pytestmark = pytest.mark.fault

MODELS = Path(__file__).parent / "models"
CONFIG = f"""
[runs]
cancel_grace_seconds = "1s"
health_timeout_seconds = "2s"
[models."faults/mates"]
path = "{MODELS}/mates"
[models."faults/tidy"]
path = "{MODELS}/tidy"
[models."faults/brief"]
path = "{MODELS}/mates"
run_timeout_seconds = "3s"
"""
PATIENCE_SECONDS = 120.0


class World:
    """A server with a model that runs four at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.halley = Halley(home, "--no-demo", config=CONFIG)

    def create(self, how: str, *, model: str = "mates", **given: Any) -> str:
        status, _, row = self.halley.call(
            "POST", f"/v1/models/faults/{model}/predictions", {"input": {"how": how, **given}}
        )
        assert status == 201, row
        self.until(str(row["id"]), lambda row: "begun" in row["logs"] or "step" in row["logs"])
        return str(row["id"])

    def get(self, prediction_id: str) -> Any:
        return self.halley.call("GET", f"/v1/predictions/{prediction_id}")[2]

    def until(self, prediction_id: str, reached: Callable[[Any], bool]) -> Any:
        end = time.monotonic() + PATIENCE_SECONDS
        while not reached(row := self.get(prediction_id)):
            assert time.monotonic() < end, f"{row}\n{self.halley.log()}"
            time.sleep(0.02)
        return row

    def ended(self, prediction_id: str) -> Any:
        return self.until(prediction_id, lambda row: row["status"] not in {"starting", "processing"})

    def cancel(self, prediction_id: str) -> None:
        status, _, row = self.halley.call("POST", f"/v1/predictions/{prediction_id}/cancel")
        assert (status, row["status"]) == (200, "canceled")

    def gate(self, name: str) -> Path:
        return self.home / name


def pids(row: Any) -> list[str]:
    return re.findall(r"begun \w+ in (\d+)", row["logs"])


def ran_again_alone(row: Any) -> bool:
    """Once more, in another process, behind a mark that says why."""
    first, second = pids(row)
    return first != second and "alone in a process: attempt 2 begins" in row["logs"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("neighbours"))
    with made.halley:
        yield made


def test_an_ignored_cancel_waits_for_other_runs_of_the_process(world: World) -> None:
    gate = world.gate("ignore")
    stubborn = world.create("ignore")
    mates = [world.create("work", gate=str(gate)), world.create("tells", gate=str(gate))]
    world.cancel(stubborn)
    # the next ones find a process that takes them, although the first one still lives
    assert world.ended(world.create("work", seconds=0))["status"] == "succeeded"
    time.sleep(2)  # longer than the grace period
    gate.touch()
    rows = [world.ended(mate) for mate in mates]
    assert [row["status"] for row in rows] == ["succeeded"] * 2, rows
    assert [row["output"] for row in rows] == [["done"], ["first", "done"]]
    assert all(len(pids(row)) == 1 for row in rows)  # where they were
    assert world.get(stubborn)["status"] == "canceled"


def test_after_a_cancel_that_kills_the_process_other_runs_start_again(world: World) -> None:
    mates = [world.create("work", seconds=1.5), world.create("work", seconds=1.5)]
    blocking = world.create("block", gate=str(world.gate("block")))
    world.gate("block").touch()
    world.cancel(blocking)
    rows = [world.ended(mate) for mate in mates]
    assert [row["status"] for row in rows] == ["succeeded"] * 2, rows
    assert all(len(pids(row)) == 1 or ran_again_alone(row) for row in rows)
    assert world.get(blocking)["status"] == "canceled"


def test_a_run_that_must_be_ended_at_its_limit_fails_alone(world: World) -> None:
    gate = world.gate("limit")
    stubborn = world.create("ignore", model="brief")
    time.sleep(1.5)
    mate = world.create("tells", model="brief", gate=str(gate), seconds=0)
    failed = world.ended(stubborn)
    gate.touch()
    assert (failed["status"], "run_timeout" in failed["error"]) == ("failed", True)
    assert world.ended(mate)["output"] == ["first", "done"]


@pytest.mark.parametrize(("how", "words"), [("crash", "SIGSEGV"), ("leave", "exited with code 9")])
def test_a_run_that_ends_the_process_fails_and_the_others_run_again(world: World, how: str, words: str) -> None:
    gate = world.gate(how)
    told = world.create("tells", seconds=3600)
    mates = [world.create("work", seconds=0.5, gate=str(gate)) for _ in range(2)]
    culprit = world.create(how, gate=str(gate))
    gate.touch()
    failed = world.ended(culprit)
    assert failed["status"] == "failed"
    assert words in failed["error"]
    assert ran_again_alone(failed)  # nobody knew
    rows = [world.ended(mate) for mate in mates]
    assert [row["output"] for row in rows] == [["done"]] * 2, rows
    assert all(len(pids(row)) == 2 for row in rows)
    assert len({pids(row)[0] for row in rows}) == 1
    cut = world.ended(told)  # what clients have seen cannot be run again
    assert (cut["status"], cut["output"]) == ("failed", ["first"])
    assert world.ended(world.create("work", seconds=0))["status"] == "succeeded"


def test_what_is_printed_around_a_cancel_is_kept_in_order(world: World) -> None:
    made = world.create("", model="tidy")
    time.sleep(0.3)
    world.cancel(made)
    row = world.until(made, lambda row: "second line" in row["logs"])
    lines = row["logs"].splitlines()
    steps = [line for line in lines if line.startswith("step")]
    assert steps == [f"step {number}" for number in range(len(steps))], row["logs"][:100]
    assert lines[len(steps) :] == [
        "stopped by CancelationException",
        "temporary files removed",
        "a child says bye",
        "second line of the clean-up",
    ]
    assert row["status"] == "canceled"
    etag = world.halley.call("GET", f"/v1/predictions/{made}")[1]["etag"]
    time.sleep(0.7)
    assert world.halley.call("GET", f"/v1/predictions/{made}")[1]["etag"] == etag  # nothing comes after the end
