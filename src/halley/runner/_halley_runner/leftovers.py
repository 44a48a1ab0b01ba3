"""Removes what predictions leave in the replica's temporary folder, and the files that they returned.

What was there when setup ended stays, and so does what this process still has open. Where several predictions run at
once, what changed since the oldest of them began may be its own and waits.
"""

from __future__ import annotations

import os
import time
from os.path import join
from typing import Iterable, List, Optional, Set, Tuple

from .places import Place
from .prediction import Prediction
from .trash import Trash

PAUSE_SECONDS = 1.0  # between two looks while predictions run all the time
COARSE_NS = 20_000_000  # by so much the time of a file may lie before the time when it was written

Stamp = Tuple[int, int]
"""The inode of a file and the time of its last change: another file, or newer content, has another."""


class Leftovers:
    """Made once per process, when setup is done; used by the thread that runs predictions."""

    def __init__(self, place: Place) -> None:
        self._temporary = os.path.realpath(place.temporary)  # as the system names what is open
        self._own = (place.temporary + os.sep, place.folder + os.sep)
        self._trash = Trash(join(place.own, "trash"))
        self._stays: Set[str] = set(_list(self._temporary))
        self._looked_at = 0.0

    def end(self, prediction: Prediction, running: Iterable[Prediction]) -> None:
        """It is over, and what it returned has been copied; `running` are the others."""
        for path, stamp in prediction.returned.items():
            is_its_own = path.startswith(self._own) and stamp[1] >= prediction.began - COARSE_NS
            if is_its_own and stamp_of(path) == stamp:
                self._trash.take(path)
        self._sweep([other.began for other in running])

    def _sweep(self, running: List[int]) -> None:
        left = [name for name in _list(self._temporary) if name not in self._stays]
        if not left:
            return
        if running:
            now = time.monotonic()
            if now - self._looked_at < PAUSE_SECONDS:
                return
            self._looked_at = now
        before = min(running) - COARSE_NS if running else None
        open_now: Optional[Set[str]] = None
        for name in left:
            path = join(self._temporary, name)
            if before is not None and _changed_at(path) >= before:
                continue
            if open_now is None:
                open_now = _open_files()
            if path not in open_now:
                self._trash.take(path)


def stamp_of(path: str) -> Optional[Stamp]:
    """None if there is no such file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _list(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:  # the model has removed it
        return ()


def _changed_at(path: str) -> int:
    """When anything in there changed last, in ns."""
    latest = 0
    try:
        latest = os.lstat(path).st_ctime_ns
        for folder, _, files in os.walk(path):
            for name in (folder, *(join(folder, file) for file in files)):
                latest = max(latest, os.lstat(name).st_ctime_ns)
    except OSError:  # it changes right now
        return time.time_ns()
    return latest


def _open_files() -> Set[str]:
    """What this process and its children have open, mapped, or as their working directory, and all folders above."""
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
    """The numbers of this process and of those that it started, as far as they can be seen."""
    family = [str(os.getpid())]
    for pid in family:
        for task in _list("/proc/%s/task" % pid):
            try:
                with open("/proc/%s/task/%s/children" % (pid, task), encoding="ascii") as children:
                    family += children.read().split()
            except OSError:
                continue
    return family


def _open_files_of(pid: str) -> Set[str]:
    found: Set[str] = set()
    for link in ("cwd", *("fd/" + name for name in _list("/proc/%s/fd" % pid))):
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
