"""What a model prints outside of predictions is found where a user looks: the server's log, and the command line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

TALKS = """
import os, sys, threading, time
from cog import BaseRunner

print("imported")

class Runner(BaseRunner):
    def setup(self):
        print("loading weights")
        os.write(2, b"raw words of setup\\n")
        threading.Thread(target=self.mutter, daemon=True).start()

    def mutter(self):
        while not os.path.exists(os.path.expanduser("~/stop")):
            time.sleep(0.02)
        print("idle since", os.getpid())

    def run(self, text: str) -> str:
        print("inside a prediction")
        if text == "die":
            threading.Thread(target=os._exit, args=(3,)).start()
            time.sleep(100)
        return text
"""
FAILS = """
class Runner:
    def setup(self):
        print("looking for weights")
        raise FileNotFoundError("none here")

    def run(self) -> str:
        return "never"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    home = tmp_path_factory.mktemp("own-log")
    for name, code in {"talks": TALKS, "fails": FAILS}.items():
        (home / name).mkdir()
        (home / name / "run.py").write_text(code)
    models = [f'[models."a/{name}"]\npath = "{home / name}"\npreload = true\n' for name in ("talks", "fails")]
    with Halley(home, "--no-demo", config="".join(models)) as halley:
        yield halley


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not found():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def command(server: Halley, *words: str, key: str | None = None) -> "subprocess.CompletedProcess[str]":
    place = ("--server", server.url, "--token", key or server.key)
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "models", "logs", *words, *place],
        env={"PATH": os.environ["PATH"], "HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def said(server: Halley, model: str = "a/talks") -> list[str]:
    done = command(server, model, "--json")
    assert done.returncode == 0, done.stderr
    return [line["text"] for line in json.loads(done.stdout)]


def test_setup_threads_and_the_end_are_there_and_predictions_are_not(server: Halley) -> None:
    until(lambda: "loading weights" in said(server))
    server.call("POST", "/v1/models/a/talks/predictions", {"input": {"text": "x"}}, headers={"Prefer": "wait"})
    (server.home / "stop").touch()
    until(lambda: any(line.startswith("idle since") for line in said(server)))
    lines = said(server)
    assert sorted(lines[:3]) == ["imported", "loading weights", "raw words of setup"]
    assert "inside a prediction" not in lines
    log = server.output.read_text()
    assert " INFO halley.replicas.replica_log: a/talks[" in log
    for text in ("imported", "loading weights", "raw words of setup", "idle since"):
        assert f"]: {text}" in log
    assert "inside a prediction" not in log


def test_a_setup_that_failed_can_be_read_afterwards(server: Halley) -> None:
    until(lambda: "looking for weights" in said(server, "a/fails"))


def test_people_get_time_process_and_text(server: Halley) -> None:
    until(lambda: said(server))
    done = command(server, "a/talks", "-n", "1")
    (line,) = done.stdout.splitlines()
    day, clock, pid, *text = line.split()
    assert (day[:2], clock[2], pid.isdigit(), bool(text)) == ("20", ":", True, True)
    assert command(server, "a/talks", "-n", "0").stdout == ""


def test_an_invalid_request_gets_a_message(server: Halley) -> None:
    absent = command(server, "a/talk")
    assert (absent.returncode, absent.stdout) == (7, "")
    assert "Did you mean a/talks?" in absent.stderr
    assert command(server, "f" * 64).returncode == 2
    assert command(server, "a/talks", "-f", "--json").returncode == 2
    assert command(server, "a/talks", key=server.account("reader")).returncode == 6
    assert server.call("GET", "/v1/replicas/a/talks/logs?after=x")[0] == 422


def test_it_follows_until_it_is_interrupted(server: Halley, tmp_path: Path) -> None:
    until(lambda: said(server))
    words = ["models", "logs", "-f", "a/talks", "--server", server.url, "--token", server.key]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "halley.cli.main", *words],
            env={"PATH": os.environ["PATH"], "HOME": str(server.home)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "loading weights" in (tmp_path / "out").read_text())
        before = (tmp_path / "out").read_text().count("loading weights")
        server.call("POST", "/v1/models/a/talks/predictions", {"input": {"text": "die"}}, headers={"Prefer": "wait"})
        server.call("POST", "/v1/models/a/talks/predictions", {"input": {"text": "x"}}, headers={"Prefer": "wait"})
        until(lambda: (tmp_path / "out").read_text().count("loading weights") == before + 1)
    finally:
        process.send_signal(2)
        assert process.wait(120) == 130


OLD = """
from cog import BasePredictor

class Predictor(BasePredictor):
    def predict(self) -> int:
        return 1
"""


def test_old_names_are_reported_once_for_any_number_of_processes(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "predict.py").write_text(OLD)
    config = f'[models."a/old"]\npath = "{tmp_path / "old"}"\npreload = true\nreplicas = 2\n'
    with Halley(tmp_path, "--no-demo", config=config) as halley:
        until(lambda: len(rows(halley)) == 2 and {row["state"] for row in rows(halley)} == {"ready"})
        until(lambda: "deprecated" in halley.log())
        lines = [line for line in halley.log().splitlines() if "deprecated" in line]
    assert len(lines) == 1, lines


def rows(halley: Halley) -> list[dict[str, object]]:
    return halley.call("GET", "/v1/replicas")[2]["results"]
