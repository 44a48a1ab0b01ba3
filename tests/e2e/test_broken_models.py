"""A broken model concerns itself alone: the others are served, it is listed with the reason, and its work waits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

GOOD: Final = "def run(text: str) -> str:\n    return text.upper()\n"
SLOW: Final = (
    "import pathlib, time\n"
    "def run(text: str) -> str:\n"
    "    while text == 'wait' and not pathlib.Path('outputs/go').exists():\n"
    "        time.sleep(0.01)\n"
    "    return text.upper()\n"
)
# what lies in each folder, and what is said of it
BROKEN: Final[dict[str, tuple[dict[str, str], str]]] = {
    "syntax": ({"cog.yaml": 'run: "run.py\nbuild: [1', "run.py": GOOD}, "cog.yaml, line 2 is not valid YAML"),
    "types": (
        {"cog.yaml": "run: run.py\nconcurrency:\n  max: many\n", "run.py": GOOD},
        "cog.yaml, line 3: `concurrency.max` must be a whole number from 1",
    ),
    "lost": (
        {"cog.yaml": "# mine\npredict: predict.py:Predictor\n"},
        "cog.yaml, line 2: 'predict.py:Predictor' names the file predict.py, which is not in the folder",
    ),
    "empty": ({}, "has no cog.yaml, run.py or predict.py: is it a model?"),
    "import": ({"run.py": "import nothing_of_that_name\n"}, "No module named 'nothing_of_that_name' (run.py:1)"),
    "schema": ({"run.py": GOOD, ".cog/openapi_schema.json": "{"}, "is not an OpenAPI document with an Input schema"),
    "pattern": (
        {
            "run.py": GOOD,
            ".cog/openapi_schema.json": (
                '{"components": {"schemas": {"Input": {"type": "object", "properties": {"a": {"pattern": "("}}}}}}'
            ),
        },
        "OpenAPI document has no usable Input schema",
    ),
    "install": (
        {
            "cog.yaml": "build:\n  python_requirements: wishes.txt\nrun: run.py\n",
            "wishes.txt": "--no-index\nno-such-thing==7\n",
            "run.py": GOOD,
        },
        "No matching distribution found for no-such-thing==7",
    ),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def configured(home: Path, *names: str) -> str:
    models = "".join(f'[models."acme/{name}"]\npath = "{home / "models" / name}"\n' for name in names)
    return f"[server]\naccess_log = false\n{models}"


def until(condition: Callable[[], Any], server: Halley, seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come about:\n{server.log()}"
        time.sleep(0.02)
    return found


def create(server: Halley, model: str, text: str = "hi", *, wait: bool = True) -> tuple[int, dict[str, str], Any]:
    headers = {"Prefer": "wait=50"} if wait else {}
    path = f"/v1/models/acme/{model}/predictions"
    return server.call("POST", path, {"input": {"text": text}}, headers=headers)


def get(server: Halley, made: dict[str, Any]) -> dict[str, Any]:
    status, _, body = server.call("GET", f"/v1/predictions/{made['id']}")
    assert status == 200
    return dict(body)


def standing(server: Halley, model: str) -> tuple[str, str | None]:
    _, _, body = server.call("GET", f"/v1/models/acme/{model}")
    return body["state"], body["reason"]


def halley(server: Halley, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", *words, "--server", server.url, "--token", server.key],
        env={"PATH": os.environ["PATH"], "HOME": str(server.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("broken")
    write(home / "models" / "good", {"run.py": GOOD})
    for name, (files, _) in BROKEN.items():
        (home / "models" / name).mkdir()
        write(home / "models" / name, files)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Halley]:
    """All of them, one that is nowhere, and a good one, in one configuration."""
    with Halley(home, "--no-demo", config=configured(home, *BROKEN, "nowhere", "good")) as server:
        until(lambda: standing(server, "install")[0] == "broken", server)
        yield server


@pytest.mark.parametrize("name", [*BROKEN, "nowhere"])
def test_a_broken_model_is_reported_everywhere_and_affects_only_itself(server: Halley, name: str) -> None:
    words = BROKEN[name][1] if name in BROKEN else "The model acme/nowhere has no folder"
    assert (create(server, "good")[2]["status"], create(server, "good")[2]["output"]) == ("succeeded", "HI")
    state, reason = standing(server, name)
    assert (state, words in (reason or "")) == ("broken", True), reason
    status, headers, refused = create(server, name)
    assert (status, headers["x-should-retry"]) == (503, "false")
    assert "retry-after" not in headers
    assert refused["detail"].startswith(f"The model acme/{name} is broken: ")
    assert words in refused["detail"]
    rows = [row for row in server.call("GET", "/v1/replicas")[2]["results"] if row["model"] == f"acme/{name}"]
    assert [row["state"] for row in rows] == ["broken"]
    assert words in rows[0]["reason"]


def test_people_see_it_at_the_start_and_in_both_lists(server: Halley) -> None:
    log = server.output.read_text()
    for name, (_, words) in BROKEN.items():
        assert any(f"acme/{name} is not served: " in line for line in log.splitlines())
        if name != "install":  # which turned out later
            (line,) = [line for line in log.splitlines() if line.startswith(f"  Broken      acme/{name}: ")]
            assert words in line
    for command in (("ps",), ("models", "list")):
        said = halley(server, *command)
        for name, (_, words) in BROKEN.items():
            assert any(line.startswith(f"acme/{name} ") and " broken" in line for line in said.splitlines()), said
            assert any(line.startswith(f"acme/{name}: ") and words in line for line in said.splitlines()), said


def test_work_of_an_earlier_run_waits_for_the_repair_and_old_predictions_stay(tmp_path: Path) -> None:
    folder = write(tmp_path / "models" / "once", {"cog.yaml": "run: run.py\n", "run.py": SLOW})
    write(tmp_path / "models" / "good", {"run.py": GOOD})
    with Halley(tmp_path, "--no-demo", config=configured(tmp_path, "once", "good")) as server:
        done = create(server, "once")[2]
        assert done["output"] == "HI"
        running, waiting = (create(server, "once", "wait", wait=False)[2] for _ in range(2))
        until(lambda: get(server, running)["status"] == "processing", server)
        server.kill()

        (folder / "cog.yaml").write_text("run: [run.py\n")
        server.start()
        assert standing(server, "once")[0] == "broken"
        assert get(server, done) == done
        assert create(server, "once")[0] == 503
        assert create(server, "good")[2]["output"] == "HI"
        time.sleep(3)  # longer than a poll of the queue and the pause of a lost attempt
        assert [get(server, one)["status"] for one in (running, waiting)] == ["processing", "starting"]

        (folder / "cog.yaml").write_text("run: run.py\n")
        write(folder, {"outputs/go": ""})  # results are no part of a version
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        for one in (running, waiting):
            until(lambda one=one: get(server, one)["status"] == "succeeded", server)
        assert standing(server, "once") == ("ready", None)
        assert create(server, "once")[2]["version"] == done["version"]


def test_with_reload_a_repair_is_noticed_and_a_new_break_leaves_the_old_one_running(tmp_path: Path) -> None:
    folder = write(tmp_path / "models" / "edited", {"cog.yaml": "run: 7\n", "run.py": GOOD})
    with Halley(tmp_path, "--no-demo", "--reload", str(folder)) as server:

        def stands() -> tuple[str, str]:
            _, _, body = server.call("GET", "/v1/models/local/edited")
            return body["state"], body["reason"] or ""

        def output() -> Any:
            return server.call("POST", path, {"input": {"text": "hi"}}, headers={"Prefer": "wait"})[2]["output"]

        path = "/v1/models/local/edited/predictions"
        assert stands()[0] == "broken"
        (folder / "cog.yaml").write_text("run: run.py\n")
        until(lambda: stands() == ("ready", ""), server)
        assert output() == "HI"
        (folder / "cog.yaml").write_text("run: absent.py\n")
        until(lambda: "names the file absent.py" in stands()[1], server)
        assert stands()[0] == "ready"
        assert output() == "HI"
        (row,) = server.call("GET", "/v1/replicas")[2]["results"]
        assert "its files were changed and cannot be reloaded" in row["reason"]
        (folder / "cog.yaml").write_text("run: run.py\n")
        until(lambda: stands() == ("ready", ""), server)


@pytest.mark.parametrize("name", ["syntax", "import"])
def test_on_the_command_line_it_ends_the_start_and_loses_no_key(home: Path, tmp_path: Path, name: str) -> None:
    files, words = BROKEN[name]
    folder = write(tmp_path / "it", files)
    server = Halley(tmp_path, "--no-demo", str(folder), environment={"HALLEY_DEMO": "false"})
    del server._environment["HALLEY_ADMIN_KEY"]
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(120) == 2
    assert any(line.startswith("error: ") and words in line for line in server.log().splitlines()), server.log()
    write(folder, {"cog.yaml": "run: run.py\n", "run.py": GOOD})
    with server:
        until(lambda: "a new admin key, kept in " in server.log(), server)
