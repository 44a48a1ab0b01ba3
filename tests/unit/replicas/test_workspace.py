"""What models leave behind goes, whatever it is."""

import os
from pathlib import Path

from halley.replicas.workspace import RunFolders, scratch_folder


def test_the_sweep_takes_files_links_and_closed_folders(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "precious").write_text("not ours")
    root = tmp_path / "runs"
    folders = RunFolders(root)
    inside = Path(folders.make("a", 1))
    (inside / "closed").mkdir()
    (inside / "closed" / "left").write_text("x")
    (inside / "closed").chmod(0o500)
    (root / "beside.bin").write_text("x")
    (root / "link").symlink_to(kept)
    os.mkfifo(root / "pipe")
    folders.sweep()
    assert list(root.iterdir()) == []
    assert (kept / "precious").read_text() == "not ours"


def test_each_lease_has_its_own_folder(tmp_path: Path) -> None:
    folders = RunFolders(tmp_path)
    names = [folders.make("a", 1), folders.make("a", 2), folders.make("a", 1)]  # the last: one that could not be swept
    made = [Path(name) for name in names]
    assert len(set(made)) == 3
    (made[0] / "x").write_text("x")
    assert not any((other / "x").exists() for other in made[1:])


def test_the_scratch_folder_is_empty_at_first_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "scratch"
    path.mkdir()
    (path / "of an earlier life").write_text("x")
    with scratch_folder(path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "left").write_text("x")
    assert not path.exists()
