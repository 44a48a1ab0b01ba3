"""What a request carries for the model alone reaches it, also when the server dies in between."""

import time
from pathlib import Path

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

TELLS = """
import os, time
from cog import BaseRunner, current_scope

class Runner(BaseRunner):
    def run(self, marks: str) -> dict:
        with open(marks, "a") as file:
            file.write("began\\n")
        while not os.path.exists(marks + ".go"):
            time.sleep(0.01)
        return current_scope().context
"""


def test_it_survives_a_killed_server_while_it_runs_and_while_it_waits(tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    marks = tmp_path / "marks"
    halley = Halley(tmp_path, "--no-demo", config=f'[models."local/tells"]\npath = "{tmp_path}/tells.py"\n')
    with halley:
        path = "/v1/models/local/tells/predictions"
        body = {"input": {"marks": str(marks)}}
        made = [halley.call("POST", path, {**body, "context": {"number": str(n)}})[2] for n in range(2)]
        until(marks.exists)
        halley.kill()
        (tmp_path / "marks.go").touch()
        halley.start()
        for n, prediction in enumerate(made):
            _, _, done = halley.call("GET", f"/v1/predictions/{prediction['id']}", headers={"Prefer": "wait=60"})
            assert (done["status"], done["output"]) == ("succeeded", {"number": str(n)}), done
    assert marks.read_text() == "began\n" * 3


def until(reached: object) -> None:
    end = time.monotonic() + 120
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
