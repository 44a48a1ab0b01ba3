"""What the runner alone decides about paths: the server and its schema have no part in it."""

import os
import time

import pytest

CHOICES = """
import enum, pathlib
from typing import List
from cog import Input, Path

class Style(enum.Enum):
    PLAIN = "plain"
    OWN = pathlib.Path("own.txt")

def run(
    style: Style = Style.PLAIN,
    one: Path = Input(default="own.txt", choices=["own.txt", "other.txt"]),
    many: List[Path] = Input(default=["own.txt"], choices=["own.txt", "other.txt"]),
) -> list:
    return [repr(style.value), type(one).__name__, str(one), [f"{type(each).__name__} {each}" for each in many]]
"""
OUTPUT = """
import os, pathlib
from cog import Path

def run(name: str, touch: bool = False) -> str:
    if touch:
        os.chmod(name, 0o600)
    return Path(name)
"""


def test_choices_of_the_model_are_paths(start, write_model):
    child = start("predict.py", folder=write_model(CHOICES))
    assert child.predict().value == ["'plain'", "Path", "own.txt", ["Path own.txt"]]
    given = {"style": "own.txt", "one": "other.txt", "many": ["other.txt"]}
    assert child.predict(**given).value == ["PosixPath('own.txt')", "Path", "other.txt", ["Path other.txt"]]
    assert "input one: '/etc/passwd' is no file that was sent" in child.predict(one="/etc/passwd").error
    assert "input many.1: '/etc/passwd'" in child.predict(many=["own.txt", "/etc/passwd"]).error
    schema = next(frame for frame in child.seen if frame["t"] == "described")["schema"]["components"]["schemas"]
    assert schema["style"]["enum"] == ["plain", "own.txt"]


def test_a_file_elsewhere_counts_from_the_change_of_its_status(start, write_model, tmp_path):
    elsewhere = tmp_path / "old.txt"
    elsewhere.write_text("old")
    time.sleep(0.05)
    child = start("predict.py", folder=write_model(OUTPUT))
    assert "it was there before this prediction" in child.predict(name=str(elsewhere)).error
    time.sleep(0.05)
    os.utime(elsewhere, (0, 0))  # its status changes, and then its times are of 1970
    time.sleep(0.05)
    assert "it was there before this prediction" in child.predict(name=str(elsewhere)).error
    assert child.predict(name=str(elsewhere), touch=True).value.endswith("/outputs/1/old.txt")


def test_the_servers_folder_is_closed_but_for_the_places_of_the_replica(start, write_model, tmp_path):
    data = tmp_path / "data"
    (data / "blobs" / "ab").mkdir(parents=True)
    (data / "secrets.json").write_text("secret")
    (data / "blobs" / "ab" / "x").write_text("x")
    child = start("predict.py", folder=write_model(OUTPUT), data=str(data))
    for name in (data / "secrets.json", data / "blobs" / "ab" / "x"):
        # though they are as fresh as can be
        assert "files of the server are not given out" in child.predict(name=str(name), touch=True).error


@pytest.mark.parametrize(("name", "fits"), [("logo.txt", True), (".config/token", False)])
def test_files_beside_a_single_file_model_are_its_own_except_hidden_ones(start, write_model, tmp_path, name, fits):
    folder = write_model(OUTPUT)
    (folder / ".config").mkdir()
    (folder / name).write_text("x")
    time.sleep(0.05)
    child = start("predict.py", folder=folder, origin=str(folder / "predict.py"))
    done = child.predict(name=str(folder / name)).done
    assert (done["status"] == "succeeded") is fits, done


LAZY = """
import dataclasses, pathlib

@dataclasses.dataclass
class Job:
    names: list
    def __post_init__(self):
        self.made = ((map(pathlib.Path, self.names), 1),)

def run(job: Job) -> list:
    return [path.read_text() for path in job.made[0][0]]
"""


def test_paths_that_an_iterator_in_a_tuple_is_going_to_make_are_found(start, write_model, tmp_path):
    (tmp_path / "foreign.txt").write_text("foreign")
    folder = write_model(LAZY)
    (folder / "own.txt").write_text("own")
    child = start("predict.py", folder=folder)
    assert "foreign.txt' is no file" in child.predict(job={"names": [str(tmp_path / "foreign.txt")]}).error
    staged = {"job": {"names": [str(child.run_folder / "p2" / "sent.txt")]}}
    (child.run_folder / "p2").mkdir()
    (child.run_folder / "p2" / "sent.txt").write_text("sent")
    assert child.predict("p2", paths=[["job", "names", 0]], **staged).value == ["sent"]
