"""Models from outside: their own file names, their own processes, their own Python."""

import ast
import os
import shutil
import signal
from pathlib import Path

import pytest

from halley.runner import START

FOREIGN = Path(__file__).with_name("models") / "foreign"
FILES = sorted(START.parent.rglob("*.py"))
OTHER_VERSIONS = ("3.8", "3.9", "3.10", "3.12", "3.13")


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("names", "the model's schema the model's frames the model's start predict __main__"),
        ("spawn", "[3, 6]"),
        ("fork", "[3, 6]"),
        ("version", "0.23.1 0.23.1"),
        ("program", "0.23.1 True"),
        ("inherited", "[]"),
        ("path_folder", str([str(START.parent / "path")])),
    ],
)
def test_a_model_with_its_own_ways(start, what, value):
    child = start("predict.py", folder=FOREIGN)
    assert child.predict(what=what).value == value
    assert child.predict(what="version").value == "0.23.1 0.23.1"


def test_print_in_a_pool_belongs_to_the_prediction(start):
    for what in ("spawn", "fork"):
        assert start("predict.py", folder=FOREIGN).predict(what=what).logs == "in the pool\n" * 2


def test_forked_child_does_not_hide_the_death_of_the_replica(start):
    child = start("predict.py", folder=FOREIGN)
    left_behind = int(child.predict(what="leave_child").value)
    child.wait_for_log("forked child speaks")
    child.process.kill()
    child.read_to_end()  # would wait for the forked child otherwise
    os.kill(left_behind, signal.SIGKILL)


def test_name_of_a_module_that_is_taken(start, write_model):
    for name in ("types.py", "my-model.py"):
        folder = write_model("def predict() -> str:\n    return __name__.strip('_')\n", name)
        assert "model_" in start(name, folder=folder).predict().value


def test_file_in_a_folder(start, write_model):
    folder = write_model("")
    (folder / "src").mkdir()
    (folder / "src" / "main.py").write_text("def predict() -> str:\n    return __name__\n")
    assert start("src/main.py:predict", folder=folder).predict().value == "src.main"


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(START.parent)) for file in FILES])
def test_syntax_is_that_of_python_3_8(file):
    ast.parse(file.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_other_interpreters(start, write_model, version):
    python = _interpreter(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    model = """
from typing import List, Optional
from cog import BaseModel, BasePredictor, ConcatenateIterator, Input, Path
class Out(BaseModel):
    a: int
    b: Optional[List[str]] = None
class Predictor(BasePredictor):
    def predict(self, n: int = Input(default=2, choices=[1, 2]), image: Optional[Path] = None) -> Out:
        print("n is", n)
        self.record_metric("n", n)
        return Out(a=n, b=["x"])
async def words(n: int) -> ConcatenateIterator[str]:
    for i in range(n):
        yield "w%d " % i
def fails() -> int:
    raise ValueError("bad thing")
"""
    folder = write_model(model)
    child = start("predict.py", folder=folder, python=python)
    assert child.seen[0]["python"].startswith(version + ".")
    story = child.predict(n=1)
    assert (story.value, story.logs, len(story.of("metric"))) == ({"a": 1, "b": ["x"]}, "n is 1\n", 1)
    assert start("predict.py:words", folder=folder, python=python).predict(n=2).outputs == ["w0 ", "w1 "]
    assert (
        start("predict.py:fails", folder=folder, python=python).predict().error
        == "ValueError: bad thing (predict.py:16)"
    )


def _interpreter(version: str) -> str | None:
    for found in (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"):
        return str(found)
    found_on_path = shutil.which(f"python{version}")
    # version managers leave a stand-in on the path for what is not installed
    return None if found_on_path is None or "shims" in found_on_path else found_on_path
