"""Warns when two processes return the same path at the same time: where `/tmp` is shared, one may get the other's file.

Each process records in a folder of the server when it used which path. Nothing is prevented: the warning names the
path, so that the author can make the model write somewhere else.
"""

from __future__ import annotations

import fcntl
import os
import time
from os.path import join
from typing import Iterator, List, Optional

from .places import Place
from .prediction import Prediction

LINES = 1000  # newest uses that are kept; one file records many paths, which may be different for each prediction


class PathConflicts:
    """Made once per process."""

    def __init__(self, place: Place, folder: Optional[str]) -> None:
        self._own = (place.folder + os.sep, place.own + os.sep)
        self._folder = folder if place.way == "plain" else None

    def check(self, prediction: Prediction) -> Iterator[str]:
        """A warning for each returned file that another process used at the same time."""
        if self._folder is None:
            return
        for path in prediction.returned:
            if not path.startswith(self._own) and not path.startswith(prediction.folder + os.sep):
                for pid in self._others(self._folder, os.path.realpath(path), prediction.began):
                    yield (
                        "warning: %s was written by process %d of a model at the same time: this output may be the "
                        "other's. Write to the working directory or to a temporary file.\n" % (path, pid)
                    )

    def _others(self, folder: str, path: str, began: int) -> List[int]:
        """Record the use, and return the processes that used the path at the same time."""
        import hashlib  # few models return such a file

        key = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        name = join(folder, "uses-" + key[:1])
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a full disk: only the warning is lost
            return []
        with open(descriptor, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = file.read().splitlines()[-LINES:]
            words = [line.split() for line in lines if line.startswith(key + " ") and line.count(" ") == 2]
            uses = [(int(pid), int(ended)) for _, pid, ended in words]
            file.seek(0)
            file.truncate()
            file.write("\n".join([*lines, "%s %d %d" % (key, os.getpid(), time.time_ns())]) + "\n")
        return sorted({pid for pid, ended in uses if ended >= began and pid != os.getpid()})
