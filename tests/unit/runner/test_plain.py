"""The copy of a model's folder that a process works in where it has no mounts of its own."""

import os
from pathlib import Path
from typing import Any

import pytest

from halley.runner._halley_runner.plain import COPY_BYTES, LAYER_COPY_BYTES, fill_working_directory


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "predict.py").write_text("code")
    return folder


def place(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"folder": str(tmp_path / "own"), **more}


def test_small_files_are_copies_and_large_ones_links(tmp_path: Path, model: Path) -> None:
    (model / "weights").mkdir()
    with (model / "weights" / "large.bin").open("wb") as file:
        file.truncate(COPY_BYTES + 1)
    work = Path(fill_working_directory(place(tmp_path), str(model)))
    (work / "predict.py").write_text("changed")
    (work / "weights" / "new.bin").write_text("new")
    assert (model / "predict.py").read_text() == "code"
    assert os.listdir(model / "weights") == ["large.bin"]
    assert (work / "weights" / "large.bin").resolve() == model / "weights" / "large.bin"


def test_times_and_modes_are_kept(tmp_path: Path, model: Path) -> None:
    os.utime(model / "predict.py", (1000, 1000))
    (model / "predict.py").chmod(0o755)
    found = (Path(fill_working_directory(place(tmp_path), str(model))) / "predict.py").stat()
    assert (found.st_mtime, found.st_mode & 0o777) == (1000, 0o755)


def test_links_inside_lead_to_the_copies_and_others_where_they_led(tmp_path: Path, model: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (model / "sub").mkdir()
    (model / "sub" / "same.py").symlink_to("../predict.py")
    (model / "absolute.py").symlink_to(model / "predict.py")
    (model / "away").symlink_to(outside)
    (model / "nowhere").symlink_to("none")
    work = Path(fill_working_directory(place(tmp_path), str(model)))
    for name in ("sub/same.py", "absolute.py"):
        assert (work / name).resolve() == work / "predict.py"
    assert (work / "away").resolve() == outside
    assert (work / "nowhere").is_symlink()


def test_what_is_never_written_is_a_link(tmp_path: Path, model: Path) -> None:
    for name in (".git", "venv", "shared"):
        (model / name).mkdir()
    (model / "venv" / "pyvenv.cfg").touch()
    os.mkfifo(model / "pipe")
    work = Path(fill_working_directory(place(tmp_path, keep=[str(model / "shared")]), str(model)))
    assert {path.name for path in work.iterdir() if path.is_symlink()} == {".git", "venv", "shared"}
    assert not (work / "pipe").exists()


def test_a_place_inside_the_models_folder_is_not_copied_into_itself(tmp_path: Path, model: Path) -> None:
    work = Path(fill_working_directory({"folder": str(model / "data" / "own")}, str(model)))
    assert [path.name for path in work.iterdir()] == ["predict.py"]


def test_beside_a_single_file_everything_is_a_link(tmp_path: Path, model: Path) -> None:
    (model / "neighbour.txt").write_text("read")
    work = Path(fill_working_directory(place(tmp_path, single="predict.py"), str(model)))
    assert not (work / "predict.py").is_symlink()
    assert (work / "neighbour.txt").read_text() == "read"
    assert (work / "neighbour.txt").is_symlink()


def test_files_of_setup_are_added_over_the_source(tmp_path: Path, model: Path) -> None:
    layer = tmp_path / "layer" / "files"
    layer.mkdir(parents=True)
    (layer / "predict.py").write_text("written by setup")
    with (layer / "large.bin").open("wb") as file:
        file.truncate(LAYER_COPY_BYTES + 1)
    work = Path(fill_working_directory(place(tmp_path, layer=str(tmp_path / "layer")), str(model)))
    assert (work / "predict.py").read_text() == "written by setup"
    assert (work / "large.bin").resolve() == layer / "large.bin"


def test_what_a_setup_wrote_is_not_shared_with_those_who_write_it_again(tmp_path: Path, model: Path) -> None:
    layer = tmp_path / "layer" / "files"
    layer.mkdir(parents=True)
    (layer / "warm-up.mp4").write_bytes(bytes(COPY_BYTES + 1))
    work = Path(fill_working_directory(place(tmp_path, layer=str(tmp_path / "layer")), str(model)))
    (work / "warm-up.mp4").write_text("of a prediction")
    assert (layer / "warm-up.mp4").stat().st_size == COPY_BYTES + 1


def test_a_folder_that_nobody_may_read_is_a_link(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = model / "lost+found"
    closed.mkdir()
    scandir = os.scandir

    def refuse(folder: str) -> Any:
        if folder == str(closed):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    work = Path(fill_working_directory(place(tmp_path), str(model)))
    assert (work / "lost+found").resolve() == closed
    assert (work / "predict.py").read_text() == "code"
