"""Removes what predictions leave in the replica's temporary folder, and the files that they returned.

Files from before the end of setup stay, and so do files that this process has open. Where several predictions run at
once, files that changed since the oldest of them began may belong to it, and are removed later.
"""

from __future__ import annotations

import os
import time
from os.path import join
from typing import Collection, List, Optional, Set, Tuple

from .open_files import names_in, open_files
from .places import Place
from .prediction import Prediction
from .trash import Trash

PAUSE_SECONDS = 1.0  # between two checks while predictions run all the time
COARSE_NS = 20_000_000  # by so much a file's time may be earlier than the moment when it was written

_monotonic = time.monotonic

Stamp = Tuple[int, int]
"""The inode of a file and the time of its last change: another file or newer content has another stamp."""


class Leftovers:
    """Made once per process, after setup; used by the thread that runs predictions."""

    def __init__(self, place: Place) -> None:
        self._temporary = os.path.realpath(place.temporary)  # the path that the system reports for open files
        self._own = (place.temporary + os.sep, place.folder + os.sep)
        self._trash = Trash(join(place.own, "trash"))
        self._stays: Set[str] = set(names_in(self._temporary))
        self._looked_at = 0.0
        self._empty_since: Optional[int] = None  # time of the folder's last change, when it was found without leftovers

    def end(self, prediction: Prediction, running: Collection[Prediction]) -> None:
        """Clean up after a prediction; what it returned has been copied. `running` are the other predictions."""
        if prediction.has_returned_files:
            self._remove_returned(prediction)
        if running:  # then the folder is listed seldom: it would delay each end
            now = _monotonic()
            if now - self._looked_at < PAUSE_SECONDS:
                return
            self._looked_at = now
        self._sweep([other.began for other in running])

    def _remove_returned(self, prediction: Prediction) -> None:
        for path, stamp in prediction.returned.items():
            is_its_own = path.startswith(self._own) and stamp[1] >= prediction.began - COARSE_NS
            if is_its_own and stamp_of(path) == stamp:
                self._trash.take(path)

    def _sweep(self, running: List[int]) -> None:
        changed = _change_of(self._temporary)
        if changed is not None and changed == self._empty_since:
            return
        self._empty_since, now = None, time.time_ns()
        left = [name for name in names_in(self._temporary) if name not in self._stays]
        if not left:
            # a change so young could be followed by another one with the same time
            if changed is not None and changed < now - COARSE_NS:
                self._empty_since = changed
            return
        before = min(running) - COARSE_NS if running else None
        open_now: Optional[Set[str]] = None
        for name in left:
            path = join(self._temporary, name)
            if before is not None and _changed_at(path) >= before:
                continue
            if open_now is None:
                open_now = open_files()
            if path not in open_now:
                self._trash.take(path)


def _change_of(folder: str) -> Optional[int]:
    """When an entry was last added to it or taken out, in ns, which no program can set. None if there is no such
    folder.
    """
    try:
        return os.lstat(folder).st_ctime_ns
    except OSError:
        return None


def stamp_of(path: str) -> Optional[Stamp]:
    """None if there is no such file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _changed_at(path: str) -> int:
    """When anything in there changed last, in ns."""
    latest = 0
    try:
        latest = os.lstat(path).st_ctime_ns
        for folder, _, files in os.walk(path):
            for name in (folder, *(join(folder, file) for file in files)):
                latest = max(latest, os.lstat(name).st_ctime_ns)
    except OSError:  # it is being changed right now
        return time.time_ns()
    return latest
