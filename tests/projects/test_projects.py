"""Projects in the manner of the field, from 2021 to now, run unmodified, or Halley says exactly what is missing."""

import os
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

HERE: Final = Path(__file__).parent
WISHES: Final[dict[str, dict[str, Any]]] = tomllib.loads((HERE / "cases.toml").read_text())


def asked(wish: str) -> list[str]:
    return [name for name, wishes in WISHES.items() if wish in wishes]


def predict(halley: Halley, name: str) -> Any:
    path = f"/v1/models/projects/{name}/predictions"
    status, _, answer = halley.call("POST", path, {"input": WISHES[name]["input"]}, headers={"Prefer": "wait=50"})
    assert status in {200, 201}, answer
    return answer


@pytest.mark.e2e
@pytest.mark.parametrize("name", asked("output"))
def test_project_runs(name: str, halley: Halley) -> None:
    answer = predict(halley, name)
    wish = WISHES[name]
    assert (answer["status"], answer["error"]) == ("succeeded", None)
    assert_output(answer["output"], wish["output"])
    assert wish.get("logs", "") in answer["logs"]
    assert wish.get("metrics", {}).items() <= answer["metrics"].items()


@pytest.mark.e2e
@pytest.mark.parametrize("name", asked("fails"))
def test_project_that_lacks_something_says_so_when_it_runs(name: str, halley: Halley) -> None:
    answer = predict(halley, name)
    assert answer["status"] == "failed"
    assert WISHES[name]["fails"] in answer["error"]


@pytest.mark.e2e
@pytest.mark.parametrize("name", asked("refused"))
def test_project_that_cannot_run_gets_the_reason(name: str, projects: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "check", "--env", "current", str(projects / name)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert WISHES[name]["refused"] in " ".join((done.stdout + done.stderr).split())


def test_all_projects_are_asked() -> None:
    assert {file.parent.name for file in HERE.glob("*/cog.yaml")} == set(WISHES)
    assert len(WISHES) >= 20


def assert_output(output: Any, wanted: Any) -> None:
    if isinstance(wanted, dict) and set(wanted) in ({"text"}, {"starts"}) and isinstance(output, str):
        with urllib.request.urlopen(output, timeout=120) as answer:
            content = answer.read()
        if "text" in wanted:
            assert content == wanted["text"].encode()
        else:
            assert content.startswith(wanted["starts"].encode("latin-1"))
    elif isinstance(wanted, dict):
        assert set(output) == set(wanted)
        for name, value in wanted.items():
            assert_output(output[name], value)
    elif isinstance(wanted, list):
        assert len(output) == len(wanted)
        for item, value in zip(output, wanted, strict=True):
            assert_output(item, value)
    elif wanted == "null":  # TOML has no word for it
        assert output is None
    else:
        assert output == wanted
