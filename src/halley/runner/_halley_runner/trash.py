"""A folder for what is to be deleted: moving something there is quick, a thread then takes its time."""

from __future__ import annotations

import os
import threading
from os.path import isdir, islink, join
from typing import Callable

from .copying import remove_tree

# taken before a model can put something else in their place
_rename, _unlink = os.rename, os.unlink
_Thread: Callable[..., threading.Thread] = threading.Thread


class Trash:
    """Made once per process; used by one thread."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._count = 0

    def take(self, path: str) -> None:
        """The file or folder is gone from its place when this returns, unless it cannot be moved."""
        try:
            if not isdir(path) or islink(path):
                _unlink(path)
                return
            os.makedirs(self._folder, exist_ok=True)
            self._count += 1
            aside = join(self._folder, str(self._count))
            _rename(path, aside)
        except OSError:  # it is gone already, or holds a mount
            return
        try:
            _Thread(target=remove_tree, args=(aside,), daemon=True).start()
        except RuntimeError:  # no more threads
            remove_tree(aside)
