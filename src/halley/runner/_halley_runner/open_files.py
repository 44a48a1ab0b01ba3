"""Which files a replica and the programs that it started have open."""

from __future__ import annotations

import os
from typing import Iterable, List, Set


def open_files() -> Set[str]:
    """All paths that this process and its children have open, mapped, or as working directory, and all folders above
    them.
    """
    found = _sockets()
    for pid in _family():
        found.update(_open_files_of(pid))
    for name in list(found):
        above = os.path.dirname(name)
        while above not in found:
            found.add(above)
            above = os.path.dirname(above)
    return found


def _family() -> List[str]:
    """The process ids of this process and its descendants, as far as they are visible."""
    family = [str(os.getpid())]
    for pid in family:
        for task in names_in("/proc/%s/task" % pid):
            try:
                with open("/proc/%s/task/%s/children" % (pid, task), encoding="ascii") as children:
                    family += children.read().split()
            except OSError:
                continue
    return family


def _open_files_of(pid: str) -> Set[str]:
    found: Set[str] = set()
    for link in ("cwd", *("fd/" + name for name in names_in("/proc/%s/fd" % pid))):
        try:
            found.add(os.readlink("/proc/%s/%s" % (pid, link)))
        except OSError:
            continue
    try:
        with open("/proc/%s/maps" % pid, encoding="utf-8", errors="surrogateescape") as maps:
            found.update(line[line.index("/") :].rstrip("\n") for line in maps if "/" in line)
    except OSError:
        pass
    return found


def _sockets() -> Set[str]:
    try:
        with open("/proc/self/net/unix", encoding="utf-8", errors="surrogateescape") as sockets:
            return {line[line.index("/") :].rstrip("\n") for line in sockets if "/" in line}
    except OSError:
        return set()


def written_now() -> Set[str]:
    """The paths that any of them has open for writing, and not only for appending, as a log."""
    found: Set[str] = set()
    for pid in _family():
        for name in names_in("/proc/%s/fd" % pid):
            try:
                with open("/proc/%s/fdinfo/%s" % (pid, name), encoding="ascii") as fdinfo:
                    flags = next(line for line in fdinfo if line.startswith("flags:"))
                mode = int(flags.split()[1], 8)
                if mode & os.O_ACCMODE != os.O_RDONLY and not mode & os.O_APPEND:
                    found.add(os.readlink("/proc/%s/fd/%s" % (pid, name)))
            except (OSError, StopIteration):
                continue
    return found


def names_in(folder: str) -> Iterable[str]:
    """The names in the folder; none if it is not readable."""
    try:
        return os.listdir(folder)
    except OSError:  # the process has ended
        return ()
