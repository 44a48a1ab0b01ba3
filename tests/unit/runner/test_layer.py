"""What a setup leaves for the next processes of its version, where each works in a copy."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from halley.runner._halley_runner.layer import publish
from halley.runner._halley_runner.places import Place
from halley.runner._halley_runner.plain import COPY_BYTES, fill_working_directory


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "predict.py").write_text("code")
    return folder


class Replica:
    """A process of the version: its place is laid out, and what its setup leaves can be published."""

    def __init__(self, tmp_path: Path, model: Path, name: str) -> None:
        link = tmp_path / "setup" / "v"
        own = tmp_path / name
        self._wanted: dict[str, Any] = {"folder": str(own), "publish": str(link), "limit_bytes": 2**40}
        if link.exists():
            self._wanted["layer"] = str(link.resolve())
        self.work = Path(fill_working_directory(self._wanted, str(model)))
        (own / "tmp").mkdir()
        self.temporary = own / "tmp"
        self._place = Place("plain", str(self.work), str(own), "", is_copy=True)

    def publish(self) -> None:
        publish(self._place, self._wanted)


def test_a_link_to_its_own_files_leads_to_those_of_the_next(tmp_path: Path, model: Path) -> None:
    first = Replica(tmp_path, model, "first")
    (first.work / "weights").mkdir()
    (first.work / "weights" / "a").write_text("a")
    (first.work / "checkpoints").symlink_to(first.work / "weights")
    (first.work / "scratch").symlink_to(first.temporary / "gone")
    (first.work / "away").symlink_to("/usr")
    first.publish()
    second = Replica(tmp_path, model, "second")
    assert (second.work / "checkpoints").resolve() == second.work / "weights"
    assert (second.work / "checkpoints" / "a").read_text() == "a"
    assert not os.path.lexists(second.work / "scratch")
    assert (second.work / "away").readlink() == Path("/usr")


def test_a_large_file_that_is_written_again_is_each_ones_own(tmp_path: Path, model: Path) -> None:
    first = Replica(tmp_path, model, "first")
    (first.work / "out.mp4").write_bytes(bytes(COPY_BYTES + 1))
    first.publish()
    second = Replica(tmp_path, model, "second")
    (first.work / "out.mp4").write_text("one")
    (second.work / "out.mp4").write_text("two")
    assert (first.work / "out.mp4").read_text() == "one"


def test_a_folder_that_setup_put_in_the_place_of_a_link_is_a_folder(tmp_path: Path, model: Path) -> None:
    (model / "checkpoints").symlink_to(tmp_path / "nowhere")
    first = Replica(tmp_path, model, "first")
    (first.work / "checkpoints").unlink()
    (first.work / "checkpoints").mkdir()
    (first.work / "checkpoints" / "a").write_text("a")
    first.publish()
    assert (Replica(tmp_path, model, "second").work / "checkpoints" / "a").read_text() == "a"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_still_being_downloaded_is_not_kept(tmp_path: Path, model: Path) -> None:
    first = Replica(tmp_path, model, "first")
    done = threading.Event()

    def download() -> None:
        with (first.work / "half.bin").open("w") as file:
            while not done.wait(0.01):
                file.write("more")
                file.flush()

    thread = threading.Thread(target=download)
    thread.start()
    try:
        with (first.work / "index.db").open("w") as database, (first.work / "app.log").open("a") as log:
            print("whole", file=database, flush=True)
            print("line", file=log, flush=True)
            while not (first.work / "half.bin").exists():
                time.sleep(0.01)
            first.publish()
    finally:
        done.set()
        thread.join()
    second = Replica(tmp_path, model, "second")
    assert sorted(os.listdir(second.work)) == ["app.log", "index.db", "predict.py"]
