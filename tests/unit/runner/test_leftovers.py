"""What predictions leave behind goes; what setup made, what is open, and what others may use stays."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from halley.runner._halley_runner import leftovers
from halley.runner._halley_runner.leftovers import Leftovers, stamp_of
from halley.runner._halley_runner.places import Place
from halley.runner._halley_runner.prediction import Prediction


class Replica:
    """A place, and predictions in it."""

    def __init__(self, own: Path) -> None:
        self.temporary, self.work = own / "tmp", own / "files"
        for folder in (self.temporary, self.work):
            folder.mkdir(parents=True)
        (self.temporary / "of setup").touch()
        self.leftovers = Leftovers(Place("plain", str(self.work), str(own), "", is_copy=True))

    def left(self) -> list[str]:
        return sorted(os.listdir(self.temporary))


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica(tmp_path)


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_files_and_folders_go_and_what_setup_made_stays(replica: Replica, tmp_path: Path) -> None:
    prediction = Prediction()
    (replica.temporary / "folder" / "deep").mkdir(parents=True)
    (replica.temporary / "folder" / "deep" / "frames.raw").write_bytes(bytes(1000))
    (replica.temporary / "file").touch()
    (replica.temporary / "link").symlink_to(replica.work)
    replica.leftovers.end(prediction, [])
    assert replica.left() == ["of setup"]
    assert replica.work.exists()
    wait_until(lambda: not list((tmp_path / "trash").iterdir()))


def test_what_is_open_stays_until_it_is_closed(replica: Replica) -> None:
    (replica.temporary / "folder").mkdir()
    with (replica.temporary / "folder" / "log").open("w"):
        replica.leftovers.end(Prediction(), [])
        assert replica.left() == ["folder", "of setup"]
    replica.leftovers.end(Prediction(), [])
    assert replica.left() == ["of setup"]


def test_what_changed_since_another_began_waits_for_that_one(replica: Replica) -> None:
    (replica.temporary / "old").touch()
    time.sleep(0.05)
    first, second = Prediction(), Prediction()
    (replica.temporary / "new").touch()
    replica.leftovers.end(first, [second])
    assert replica.left() == ["new", "of setup"]
    replica.leftovers.end(second, [])
    assert replica.left() == ["of setup"]


def test_beside_others_the_folder_is_listed_now_and_then_only(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    monkeypatch.setattr(leftovers, "names_in", lambda folder: listed.append(folder) or [])
    monkeypatch.setattr(leftovers, "PAUSE_SECONDS", 1e9)
    for _ in range(100):
        replica.leftovers.end(Prediction(), [Prediction()])
    assert len(listed) <= 1
    replica.leftovers.end(Prediction(), [])
    replica.leftovers.end(Prediction(), [])
    assert len(listed) >= 2  # the last one out always looks


def test_a_returned_file_goes_unless_it_is_older_or_was_written_again(replica: Replica, tmp_path: Path) -> None:
    static = replica.work / "logo.png"
    static.write_text("of the author")
    time.sleep(0.05)
    prediction = Prediction()
    returned = [static, replica.work / "out.png", replica.work / "again.png", tmp_path / "elsewhere.png"]
    for path in returned[1:]:
        path.write_text("made")
    for path in returned:
        stamp = stamp_of(str(path))
        assert stamp is not None
        prediction.returned[str(path)] = stamp
    time.sleep(0.05)
    returned[2].write_text("of the next one")
    replica.leftovers.end(prediction, [])
    assert [path.exists() for path in returned] == [True, False, True, True]


def test_what_a_program_of_the_model_still_uses_stays(replica: Replica) -> None:
    folder = replica.temporary / "server"
    folder.mkdir()
    program = subprocess.Popen(["sleep", "60"], cwd=folder)
    try:
        replica.leftovers.end(Prediction(), [])
        assert replica.left() == ["of setup", "server"]
    finally:
        program.kill()
        program.wait()
    replica.leftovers.end(Prediction(), [])
    assert replica.left() == ["of setup"]


def test_a_folder_that_did_not_change_is_not_listed_again(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def counted(folder: str) -> list[str]:
        looks.append(folder)
        return os.listdir(folder)

    monkeypatch.setattr(leftovers, "names_in", counted)
    replica.leftovers.end(Prediction(), [])
    time.sleep(2 * leftovers.COARSE_NS / 1e9)
    for _ in range(3):
        replica.leftovers.end(Prediction(), [])
    assert len(looks) <= 2  # the first look may have been too early to rely on
    before = replica.temporary.stat()
    (replica.temporary / "new").touch()
    os.utime(replica.temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
    replica.leftovers.end(Prediction(), [])
    assert replica.left() == ["of setup"]
