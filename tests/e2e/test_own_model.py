"""`halley run ./folder`: a model without a server, as its author sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAD = "from cog import BaseRunner, Path\nimport os, pathlib, tempfile, time\n\n\nclass Runner(BaseRunner):\n"
GREETS = HEAD + '    def run(self, name: str) -> str:\n        print("thinking")\n        return "Hello, " + name\n'
GIVES_FILES = HEAD + (
    "    def run(self, name: str) -> list[Path]:\n"
    "        folder = Path(tempfile.mkdtemp())\n"
    "        (folder / 'a.txt').write_text('to ' + name)\n"
    "        (folder / 'b.txt').write_text('from Edmond')\n"
    "        return [folder / 'a.txt', folder / 'b.txt']\n"
)
BREAKS = (
    HEAD + '    def run(self, name: str) -> str:\n        print("thinking")\n        raise ValueError("no " + name)\n'
)
HANGS = HEAD + (
    "    def run(self, marks: str) -> str:\n"
    "        supervisor = pathlib.Path(f'/proc/{os.getppid()}/status').read_text()\n"
    "        pathlib.Path(marks).write_text(supervisor.split('PPid:')[1].split()[0])\n"
    "        time.sleep(600)\n"
    "        return marks\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path


def start(home: Path, model: str, *words: str) -> "subprocess.Popen[str]":
    (home / "work" / "model").mkdir()
    (home / "work" / "model" / "run.py").write_text(model)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home / "temporary")}
    return subprocess.Popen(
        [sys.executable, "-m", "halley.cli.main", "run", "./model", *words],
        env=environment,
        cwd=home / "work",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, model: str, *words: str) -> tuple[int, Any, list[str]]:
    """Exit code, JSON on stdout if there is any, and the lines on stderr; nothing is left behind."""
    process = start(home, model, *words)
    out, err = process.communicate(timeout=120)
    assert list((home / "temporary").iterdir()) == []
    return process.returncode, json.loads(out) if out else None, err.splitlines()


def test_it_says_what_the_model_says_and_no_more(home):
    code, prediction, said = run(home, GREETS, "name=Johann")
    assert (code, prediction["output"]) == (0, "Hello, Johann")
    assert said[0] == f"{prediction['id']} local/model"  # no link: its server is about to end
    assert said[1] == "  | thinking"
    assert "succeeded" in said[2]
    assert len(said) == 3


def test_files_are_kept_beside_the_user_and_replace_nothing(home):
    (home / "work" / "output-2.txt").write_text("mine")
    code, _, said = run(home, GIVES_FILES, "name=Johann")
    assert code == 0, said
    assert (home / "work" / "output2-1.txt").read_text() == "to Johann"
    assert (home / "work" / "output2-2.txt").read_text() == "from Edmond"
    assert (home / "work" / "output-2.txt").read_text() == "mine"


def test_an_error_of_the_model_is_shown_once(home):
    code, _, said = run(home, BREAKS, "name=Johann")
    assert code == 4
    assert len([line for line in said if "thinking" in line]) == 1
    assert len([line for line in said if line.startswith("error:") and "ValueError: no Johann (run.py:" in line]) == 1
    assert "halley predictions logs" not in "\n".join(said)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name' (run.py:1)"),
        ("x = 1\n", "run.py defines none of Runner, Predictor, run, predict"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_error(home, model, words):
    code, prediction, said = run(home, model, "name=Johann")
    assert (code, prediction) == (2, None)
    assert said[0].startswith("error: ")
    assert words in said[0]


def test_a_folder_without_a_model_is_one_error(home):
    process = start(home, "")
    process.communicate(timeout=120)
    (home / "work" / "model" / "run.py").unlink()
    done = subprocess.run(process.args, cwd=home / "work", capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("has no cog.yaml, run.py or predict.py: is it a model?")
    assert len(done.stderr.splitlines()) == 1


def test_killed_it_leaves_neither_server_nor_data(home):
    marks = home / "marks"
    os.mkfifo(marks)
    process = start(home, HANGS, f"marks={marks}")
    server = int(marks.read_text())  # opens when the model runs
    gone = os.pidfd_open(server)
    try:
        process.kill()
        process.communicate(timeout=120)
        _wait_for_end(gone)
    finally:
        os.close(gone)
    assert list((home / "temporary").iterdir()) == []


def _wait_for_end(pidfd: int) -> None:
    import select

    ready, _, _ = select.select([pidfd], [], [], 60)
    assert ready, "the server lives on"
