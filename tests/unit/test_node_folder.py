"""The folder of a process alone: removed by it, or by the next start after it was killed."""

from pathlib import Path

from halley.app.node_folder import node_folder


def leave_behind(data: Path, name: str) -> Path:
    """What a process leaves that is killed: files, and a lock that nobody holds."""
    with node_folder(data, name) as folder:
        lock = folder.with_name(f"{name}.lock").read_bytes()
    folder.mkdir()
    (folder / "runs").mkdir()
    (folder / "runs" / "file").write_text("left")
    folder.with_name(f"{name}.lock").write_bytes(lock)
    return folder


def test_a_start_removes_what_dead_processes_left_and_nothing_of_living_ones(tmp_path: Path) -> None:
    dead = leave_behind(tmp_path, "dead")
    with node_folder(tmp_path, "living") as living:
        assert not dead.exists()
        (living / "runs").mkdir()
        with node_folder(tmp_path, "other") as other:
            assert (living / "runs").is_dir()
            assert other != living
        assert not other.exists()
    assert not living.exists()
    with node_folder(tmp_path, "last"):
        assert sorted(path.name for path in (tmp_path / "nodes").iterdir()) == ["last", "last.lock"]
