"""Models with requirements through the real server: built beside everything else, used, and refused with a reason."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley

from unit.environments.packages import model, wheel

pytestmark = pytest.mark.e2e

BACKEND = """
import os, shutil
def build_wheel(to, config_settings=None, metadata_directory=None):
    while not open({gate!r}).read():  # until the test has seen what it wants to see
        pass
    shutil.copy({wheel!r}, to)
    return os.path.basename({wheel!r})
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("environments")
    wheels = home / "wheels"
    wheel(wheels, "greeter", "1.0", "WORD = 'Hello'\n")
    wheel(wheels, "greeter", "2.0", "WORD = 'Salve'\n")
    (home / "slow").mkdir()
    os.mkfifo(home / "gate")
    (home / "slow" / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "gated"\nbackend-path = ["."]\n'
    )
    path = wheel(home / "made", "slow", "1.0", "")
    (home / "slow" / "gated.py").write_text(BACKEND.format(gate=str(home / "gate"), wheel=str(path)))
    model(home / "old", "greeter<2", wheels=wheels)
    model(home / "new", "greeter", wheels=wheels)
    model(home / "late", "greeter", str(home / "slow"), wheels=wheels)
    model(home / "broken", "no-such-thing==7", wheels=wheels)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Halley]:
    folders = [str(home / name) for name in ("old", "new", "late", "broken")]
    with Halley(home, "--no-demo", *folders) as server:
        yield server


def waiting_at(gate: Path) -> bool:
    """Whether somebody has the pipe open for reading."""
    try:
        os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def check(home: Path, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "check", str(home / name), "--data", str(home / "checked"), *words],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def create(server: Halley, name: str) -> tuple[int, dict[str, str], Any]:
    body = {"version": f"local/{name}", "input": {"name": "Edmond"}}
    return server.call("POST", "/v1/predictions", body, headers={"Prefer": "wait=30"})


def settled(server: Halley, name: str) -> tuple[int, Any]:
    """The answer once the model is not being prepared any more."""
    end = time.monotonic() + 40
    while time.monotonic() < end:
        status, _, answer = create(server, name)
        if status != 503 or answer["title"] == "Model broken":
            return status, answer
        time.sleep(0.1)
    raise AssertionError(f"{name} is still being prepared:\n{server.log()}")


def test_conflicting_models_run_side_by_side_while_another_is_built(server, home):
    said = {name: settled(server, name) for name in ("old", "new")}
    assert [(status, answer["status"], answer["output"]) for status, answer in said.values()] == [
        (201, "succeeded", "Hello Edmond"),
        (201, "succeeded", "Salve Edmond"),
    ]
    status, headers, answer = create(server, "late")  # its build waits for us
    assert (status, headers["retry-after"]) == (503, "5")
    assert "The model local/late cannot run yet: its environment is being built" in answer["detail"]
    (home / "gate").write_text("open")
    status, answer = settled(server, "late")
    assert (status, answer["output"]) == (201, "Salve Edmond")


def test_requirements_that_cannot_be_installed_are_a_reason(server):
    status, answer = settled(server, "broken")
    assert (status, answer["title"]) == (503, "Model broken")
    assert answer["detail"].startswith("The model local/broken is broken: The environment of local/broken cannot be")
    assert "No matching distribution found for no-such-thing==7" in answer["detail"]
    assert "No matching distribution found for no-such-thing==7" in server.log()


def test_a_rebuild_is_waited_for_and_its_failure_fails_what_waits(server, home):
    status, answer = settled(server, "old")
    version = answer["version"]
    server.stop()
    for note in (home / "data" / "envs").glob("*/halley.json"):
        shutil.rmtree(note.parent)
    (home / "wheels" / "greeter-1.0-py3-none-any.whl").rename(home / "away.whl")
    server.start()
    (home / "gate").write_text("open")  # it is built again at once, because it was named on the command line
    status, _, answer = create(server, "new")  # the same versions as before, so it is the same version
    assert (status, answer["status"], answer["output"]) == (201, "succeeded", "Salve Edmond")
    status, _, answer = create(server, "old")
    assert (status, answer["version"], answer["status"]) == (201, version, "failed")
    assert "The environment of local/old cannot be built: pip install ended with exit status 1" in answer["error"]
    assert "greeter==1.0" in answer["error"]
    assert ".lock.txt to let the versions be chosen anew" in answer["error"]
    (home / "away.whl").rename(home / "wheels" / "greeter-1.0-py3-none-any.whl")


def test_check_says_what_a_model_would_get(home):
    done = check(home, "old")
    assert done.returncode == 2
    assert "No module named 'greeter'" in done.stderr
    assert "The environment that it asks for is not built yet, so this was Halley's own Python" in done.stderr
    done = check(home, "old", "--build", "--json")
    found = json.loads(done.stdout)["environment"]
    assert (found["is_built"], found["packages"]) == (True, ["greeter<2"])
    done = check(home, "old")
    assert f"ENVIRONMENT  its own, Python {found['python']}, " in done.stdout
    assert "\n  greeter<2\n" in done.stdout
    done = check(home, "old", "--env", "current")
    assert (done.returncode, "No module named 'greeter'" in done.stderr) == (2, True)
    done = check(home, "broken", "--build")
    assert done.returncode == 2
    assert "No matching distribution found for no-such-thing==7" in done.stderr


def test_killed_it_takes_the_build_along_and_the_next_server_builds_anew(home, tmp_path):
    gate = home / "gate"
    server = Halley(tmp_path, "--no-demo", str(home / "late"))
    server.start(wait=False)
    until(lambda: waiting_at(gate))
    server.kill()
    until(lambda: not waiting_at(gate))
    with server:
        until(lambda: waiting_at(gate))
        gate.write_text("open")
        assert settled(server, "late")[1]["output"] == "Salve Edmond"
