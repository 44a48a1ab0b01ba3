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


ASKS = """
from typing import Optional
from cog import BaseRunner, Secret
import greeter


class Runner(BaseRunner):
    def run(self, name: str, token: Optional[Secret] = None) -> str:
        return greeter.WORD + " " + name + (" with " + str(len(token.get_secret_value())) if token else "")
"""


def gated(home: Path, name: str) -> str:
    """A package that is built once something is written into a pipe of its name."""
    os.mkfifo(home / f"{name}.gate")
    (home / name).mkdir()
    (home / name / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "gated"\nbackend-path = ["."]\n'
    )
    path = wheel(home / "made", name, "1.0", "")
    (home / name / "gated.py").write_text(BACKEND.format(gate=str(home / f"{name}.gate"), wheel=str(path)))
    return str(home / name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("environments")
    wheels = home / "wheels"
    wheel(wheels, "greeter", "1.0", "WORD = 'Hello'\n")
    wheel(wheels, "greeter", "2.0", "WORD = 'Salve'\n")
    model(home / "old", "greeter<2", wheels=wheels)
    model(home / "new", "greeter>=2", wheels=wheels)
    model(home / "late", "greeter", gated(home, "slow"), wheels=wheels, code=ASKS)
    model(home / "doomed", "greeter", gated(home, "vain"), "no-such-thing==7", wheels=wheels)
    model(home / "broken", "no-such-thing==7", wheels=wheels)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Halley]:
    folders = [str(home / name) for name in ("old", "new", "late", "doomed", "broken")]
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
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def check(home: Path, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "check", str(home / name), "--data", str(home / "checked"), *words],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def create(server: Halley, model: str, *, wait: bool = True, **given: Any) -> tuple[int, dict[str, str], Any]:
    body = {"version": f"local/{model}", "input": {"name": "Edmond"} | given}
    return server.call("POST", "/v1/predictions", body, headers={"Prefer": "wait=60"} if wait else {})


def get(server: Halley, made: dict[str, Any]) -> dict[str, Any]:
    return dict(server.call("GET", f"/v1/predictions/{made['id']}")[2])


def ended(server: Halley, made: dict[str, Any]) -> dict[str, Any]:
    until(lambda: get(server, made)["status"] not in {"starting", "processing"})
    return get(server, made)


def standing(server: Halley, name: str) -> tuple[str, str | None]:
    shown = server.call("GET", f"/v1/models/local/{name}")[2]
    return shown["state"], shown["reason"]


def test_conflicting_models_run_side_by_side_while_another_is_built(server, home):
    status, _, asked = create(server, "late", wait=False, token="s3cret")
    assert (status, asked["status"]) == (201, "starting")
    wrong = create(server, "late", wait=False, name=7)[2]
    held = create(server, "late", wait=False)[2]
    for _ in range(2):
        said = {name: create(server, name) for name in ("old", "new")}
        assert [(status, answer["status"], answer["output"]) for status, _, answer in said.values()] == [
            (201, "succeeded", "Hello Edmond"),
            (201, "succeeded", "Salve Edmond"),
        ]
    rows = {row["model"]: row for row in server.call("GET", "/v1/replicas")[2]["results"]}
    assert rows["local/old"]["pid"] != rows["local/new"]["pid"]
    assert [rows[f"local/{name}"]["state"] for name in ("old", "new", "late")] == ["ready", "ready", "building"]

    # meanwhile everybody sees what it waits for, and no text of the input, since any could be a secret
    assert standing(server, "late") == ("preparing", "its environment is being built")
    waiting = get(server, asked)
    assert waiting["status"] == "starting"
    assert waiting["starting_reason"].startswith("its environment is being built: ")
    assert waiting["input"] == {"name": "[REDACTED]", "token": "[REDACTED]"}
    (home / "slow.gate").write_text("open")
    done = ended(server, asked)
    assert (done["status"], done["output"]) == ("succeeded", "Salve Edmond with 6")
    assert (done["version"], done["input"]) == (asked["version"], {"name": "Edmond", "token": "[REDACTED]"})
    assert "starting_reason" not in done
    assert ended(server, held)["output"] == "Salve Edmond"
    assert standing(server, "late") == ("ready", None)
    assert server.call("GET", "/v1/models/local/late")[2]["latest_version"]["id"] == asked["version"]

    refused = create(server, "late", name=7)
    assert refused[0] == 422
    failed = ended(server, wrong)
    assert (failed["status"], failed["termination_reason"]) == ("failed", "input_invalid")
    assert failed["error"] == refused[2]["detail"]


def test_requirements_that_cannot_be_installed_are_a_reason(server):
    until(lambda: standing(server, "broken")[0] == "broken")
    status, _, answer = create(server, "broken")
    assert (status, answer["title"]) == (503, "Model broken")
    assert answer["detail"].startswith("The model local/broken is broken: The environment of local/broken cannot be")
    assert "No matching distribution found for no-such-thing==7" in answer["detail"]


def test_a_first_build_that_fails_fails_what_waits_for_it(server, home):
    made = create(server, "doomed", wait=False)[2]
    assert made["status"] == "starting"
    (home / "vain.gate").write_text("open")
    failed = ended(server, made)
    assert (failed["status"], failed["termination_reason"]) == ("failed", "environment_failed")
    assert "pip install ended with exit status 1" in failed["error"]
    assert "No matching distribution found for no-such-thing==7" in failed["error"]
    assert standing(server, "doomed")[0] == "broken"
    assert create(server, "doomed")[0] == 503


def test_a_rebuild_is_waited_for_and_its_failure_fails_what_waits(server, home):
    version = create(server, "old")[2]["version"]
    server.stop()
    for note in (home / "data" / "envs").glob("*/halley.json"):
        shutil.rmtree(note.parent)
    (home / "wheels" / "greeter-1.0-py3-none-any.whl").rename(home / "away.whl")
    server.start()
    (home / "slow.gate").write_text("open")  # it is built again at once, because it was named on the command line
    status, _, answer = create(server, "new")  # the same versions as before, so it is the same version
    assert (status, answer["status"], answer["output"]) == (201, "succeeded", "Salve Edmond")
    status, _, answer = create(server, "old")
    assert (status, answer["version"], answer["status"]) == (201, version, "failed")
    assert "The environment of local/old cannot be built: pip install ended with exit status 1" in answer["error"]
    assert "greeter==1.0" in answer["error"]
    assert ".lock.txt so that the versions are chosen again" in answer["error"]
    (home / "away.whl").rename(home / "wheels" / "greeter-1.0-py3-none-any.whl")


def test_check_says_what_a_model_would_get(home):
    done = check(home, "old")
    assert done.returncode == 2
    assert "No module named 'greeter'" in done.stderr
    assert "The environment that it requires is not built yet, so Halley's own Python was used" in done.stderr
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


def test_a_killed_server_ends_its_build_and_the_next_one_builds_again(home, tmp_path):
    gate = home / "slow.gate"
    server = Halley(tmp_path, "--no-demo", str(home / "late"))
    server.start()
    until(lambda: waiting_at(gate))
    made = create(server, "late", wait=False)[2]
    server.kill()
    until(lambda: not waiting_at(gate))
    with server:
        until(lambda: waiting_at(gate))
        assert get(server, made)["status"] == "starting"
        gate.write_text("open")
        done = ended(server, made)
        assert (done["status"], done["output"], done["version"]) == ("succeeded", "Salve Edmond", made["version"])


def test_changed_files_wait_for_their_environment_and_the_old_ones_go_on(home, tmp_path):
    edited = shutil.copytree(home / "old", tmp_path / "edited")
    wishes = (edited / "requirements.txt").read_text()
    with Halley(tmp_path, "--no-demo", "--reload", str(edited)) as server:
        first = create(server, "edited")[2]
        assert first["output"] == "Hello Edmond"
        (edited / "requirements.txt").write_text(f"{wishes}{home / 'slow'}\n")
        until(lambda: waiting_at(home / "slow.gate"))
        assert create(server, "edited")[2]["version"] == first["version"]
        assert standing(server, "edited") == ("ready", None)
        (home / "slow.gate").write_text("open")
        until(lambda: create(server, "edited")[2]["version"] != first["version"])
        assert create(server, "edited")[2]["output"] == "Hello Edmond"


def test_what_was_asked_of_files_that_changed_before_they_could_run_fails_with_the_reason(home, tmp_path):
    edited = shutil.copytree(home / "late", tmp_path / "edited")
    wishes = (edited / "requirements.txt").read_text()
    with Halley(tmp_path, "--no-demo", "--reload", str(edited)) as server:
        until(lambda: waiting_at(home / "slow.gate"))
        early = create(server, "edited", wait=False)[2]
        (edited / "requirements.txt").write_text(wishes.replace(str(home / "slow"), ""))
        failed = ended(server, early)
        assert (failed["status"], failed["termination_reason"]) == ("failed", "version_unavailable")
        until(lambda: standing(server, "edited") == ("ready", None))
        done = create(server, "edited")[2]
        assert (done["output"], done["version"] != early["version"]) == ("Salve Edmond", True)
