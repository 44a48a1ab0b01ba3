"""How much memory we may use: that of the machine, or less if a control group limits it. Linux only.

Source: proc(5) for meminfo; the kernel's admin guide for cgroup v1 and v2 (files of the memory controller).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")
_V2: Final = ("sys/fs/cgroup", "memory.max", "memory.current")
_V1: Final = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")


def total_bytes(root: Path = _ROOT) -> int:
    """The most memory that may be used; 0 if unknown."""
    limits = [limit for limit, _ in _groups(root)]
    return min([total for total in (_meminfo(root, "MemTotal"), *limits) if total > 0], default=0)


def free_bytes(root: Path = _ROOT) -> int:
    """The memory that we may still use, with page cache that can be dropped, as far as the machine counts it."""
    free = [limit - used for limit, used in _groups(root)]
    return max(0, min([_meminfo(root, "MemAvailable"), *free]))


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group of this process; those without a limit are left out."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            folder, limit_name, used_name = _V2 if number == "0" else _V1
            group = root / folder / path.lstrip("/")
            for each in (group, *group.parents):
                limit, used = _text(each / limit_name).strip(), _text(each / used_name).strip()
                if limit.isdigit() and used.isdigit() and int(limit) < _meminfo(root, "MemTotal"):
                    yield int(limit), int(used)
                if each == root / folder:
                    break


def _meminfo(root: Path, name: str) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # does not exist on this machine
        return ""
