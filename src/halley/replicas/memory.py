"""Measures how much memory a replica uses: PSS, so that pages shared with other processes count once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def descendants(pid: int) -> list[int]:
    """The process and its descendants, its own pid first. Linux only."""
    found = [pid]
    for parent in found:
        for task in _listed(_PROC / str(parent) / "task"):
            found += [int(child) for child in _text(task / "children").split()]
    return found


def used_of(pids: Iterable[int]) -> dict[int, int]:
    """`used_bytes` of several replicas, by pid."""
    return {pid: used_bytes(pid) for pid in pids}


def used_bytes(pid: int) -> int:
    """PSS and swapped PSS of a process and its descendants. 0 if it has ended. Takes milliseconds per gigabyte."""
    return sum(_pss_bytes(each) for each in descendants(pid))


def _pss_bytes(pid: int) -> int:
    lines = _text(_PROC / str(pid) / "smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss:", "SwapPss:")))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # ended meanwhile
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # ended meanwhile, or a zombie
        return ""
