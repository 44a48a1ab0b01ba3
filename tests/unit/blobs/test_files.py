"""What only blobs in files promise: the order of syncs and names, swept leftovers, a full disk."""

import errno
import os
import stat
from pathlib import Path

import pytest

from halley.blobs.files import FileBlobs
from halley.errors import StorageFull, TooLarge
from halley.testing.blobs import read_all, stream

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def left_over(folder: Path) -> list[str]:
    return [path.name for path in (folder / "tmp").iterdir()]


async def test_bytes_are_synced_before_they_have_a_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FileBlobs(folder)
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def seen_sync(fd: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "data")
        sync(fd)

    def seen_replace(path: Path, target: Path) -> Path:
        steps.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    info = await blobs.put(stream(b"hello"), 5)
    # the first folder is the parent of a new shard
    assert steps == ["data", "folder", "name", "folder"]
    steps.clear()
    # the same bytes again: another writer's name may not be on the disk yet, so it is synced all the same
    assert await blobs.put(stream(b"hello"), 5) == info
    assert steps == ["data", "name", "folder"]


async def test_what_a_crash_left_is_swept_and_finished_blobs_stay(folder: Path) -> None:
    blobs = FileBlobs(folder)
    assert blobs.prepare() == 0
    info = await blobs.put(stream(b"hello"), 5)
    (folder / "tmp" / "half").write_bytes(b"hel")
    assert FileBlobs(folder).prepare() == 1
    assert left_over(folder) == []
    assert await read_all(blobs, info.sha256) == b"hello"


async def test_who_is_not_alone_in_the_folder_leaves_the_drafts_of_others(folder: Path) -> None:
    FileBlobs(folder).prepare()
    (folder / "tmp" / "half").write_bytes(b"hel")
    assert FileBlobs(folder).prepare(is_alone=False) == 0
    assert left_over(folder) == ["half"]


async def test_nothing_unfinished_is_left_by_success_or_failure(folder: Path, tmp_path: Path) -> None:
    blobs = FileBlobs(folder)
    await blobs.put(stream(b"hello"), 5)
    with pytest.raises(TooLarge):
        await blobs.put(stream(b"hello"), 4)
    (tmp_path / "f").write_bytes(b"f")
    await blobs.adopt(tmp_path / "f")
    await blobs.adopt(tmp_path / "f", take=True)
    assert left_over(folder) == []


async def test_a_taken_file_on_the_same_disk_is_not_copied(folder: Path, tmp_path: Path) -> None:
    blobs = FileBlobs(folder)
    (tmp_path / "f").write_bytes(b"f")
    info = await blobs.adopt(tmp_path / "f", take=True)
    path = blobs.path(info.sha256)
    assert path is not None
    assert path.samefile(tmp_path / "f")


async def test_an_adopted_file_is_a_copy(folder: Path, tmp_path: Path) -> None:
    blobs = FileBlobs(folder)
    (tmp_path / "f").write_bytes(b"f")
    path = blobs.path((await blobs.adopt(tmp_path / "f")).sha256)
    assert path is not None
    assert not path.samefile(tmp_path / "f")


async def test_a_file_is_copied_where_the_kernel_cannot(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.setattr(os, "link", refuse)
    blobs = FileBlobs(folder)
    (tmp_path / "f").write_bytes(b"f" * 3_000_000)
    for take in (False, True):
        info = await blobs.adopt(tmp_path / "f", take=take)
        assert await read_all(blobs, info.sha256) == b"f" * 3_000_000


async def test_a_pipe_in_the_place_of_a_file_does_not_hold_us(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        await FileBlobs(folder).adopt(tmp_path / "pipe")


async def test_a_damaged_blob_is_made_good_by_storing_it_again(folder: Path) -> None:
    blobs = FileBlobs(folder)
    info = await blobs.put(stream(b"hello"), 5)
    path = blobs.path(info.sha256)
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(b"he")
    await blobs.put(stream(b"hello"), 5)
    assert await read_all(blobs, info.sha256) == b"hello"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_reported_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    blobs = FileBlobs(folder)
    sync = os.fsync

    def full(fd: int) -> None:
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="no room left"):
        await blobs.put(stream(b"hello"), 5)
    assert left_over(folder) == []
    monkeypatch.setattr(os, "fsync", sync)
    assert (await blobs.put(stream(b"hello"), 5)).size_bytes == 5


async def test_other_errors_of_the_disk_are_not_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="input/output error"):
        await FileBlobs(folder).put(stream(b"hello"), 5)


async def test_a_linked_file_is_as_old_as_its_place(tmp_path: Path) -> None:
    """A model may have written it days ago: what counts is since when it is a blob."""
    blobs = FileBlobs(tmp_path / "blobs")
    blobs.prepare()
    made = tmp_path / "made"
    made.write_bytes(b"old")
    os.utime(made, (1_000_000, 1_000_000))
    info = await blobs.adopt(made, take=True)
    path = blobs.path(info.sha256)
    assert path is not None
    assert path.stat().st_mtime == 1_000_000
    assert await blobs.stored("", 9, 60) == []
    assert await blobs.stored("", 9, 0) == [info.sha256]


async def test_what_is_no_blob_is_not_listed(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    blobs.prepare()
    info = await blobs.put(stream(b"x"), 1)
    (tmp_path / info.sha256[:2] / "notes.txt").write_text("mine")
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / ("a" * 64)).write_text("in the wrong place")
    (tmp_path / "tmp" / "draft").write_text("half")
    assert await blobs.stored("", 9, 0) == [info.sha256]
