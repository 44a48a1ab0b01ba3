"""How much memory we may use: that of the machine, or less if a control group limits it. Linux only.

Source: proc(5) for meminfo; the kernel's admin guide for cgroup v1 and v2 (files of the memory controller).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")
_V2: Final = ("sys/fs/cgroup", "memory.max", "memory.current")
_V1: Final = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
_MOST_BYTES: Final = 2**16  # of such a file: the kernel gives a whole one with one read


def total_bytes(root: Path = _ROOT) -> int:
    """The most memory that may be used; 0 if unknown."""
    total, _ = _meminfo(f"{root}/proc/meminfo")
    limits = [limit for limit, _ in _groups(str(root), total)]
    return min([found for found in (total, *limits) if found > 0], default=0)


def free_bytes(root: Path = _ROOT) -> int:
    """The memory that we may still use, with page cache that can be dropped, as far as the machine counts it.

    It is asked for each second: plain reads, and each file once.
    """
    total, available = _meminfo(f"{root}/proc/meminfo")
    free = [limit - used for limit, used in _groups(str(root), total)]
    return max(0, min([available, *free]))


def _groups(root: str, total: int) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group of this process; those without a limit below `total` are left out."""
    for line in _text(f"{root}/proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            folder, limit_name, used_name = _V2 if number == "0" else _V1
            names = [name for name in path.split("/") if name]
            for depth in range(len(names), -1, -1):
                group = "/".join((root, folder, *names[:depth]))
                limit, used = _text(f"{group}/{limit_name}").strip(), _text(f"{group}/{used_name}").strip()
                if limit.isdigit() and used.isdigit() and int(limit) < total:
                    yield int(limit), int(used)


def _meminfo(path: str) -> tuple[int, int]:
    """All memory of the machine, and what is available; 0 if unknown."""
    found = {"MemTotal": 0, "MemAvailable": 0}
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
            if name == "MemAvailable":  # it comes after the other
                break
    return found["MemTotal"], found["MemAvailable"]


def _text(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # does not exist on this machine
        return ""
    try:
        return os.read(descriptor, _MOST_BYTES).decode()
    except OSError:
        return ""
    finally:
        os.close(descriptor)
