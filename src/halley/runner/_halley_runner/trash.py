"""Deletes files in the background: moving a file to a folder is quick, a thread then deletes it."""

from __future__ import annotations

import os
import threading
from os.path import isdir, islink, join
from typing import Callable

from .copying import remove_tree

# imported before a model can replace them
_rename, _unlink = os.rename, os.unlink
_Thread: Callable[..., threading.Thread] = threading.Thread


class Trash:
    """Made once per process; used by one thread."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._count = 0

    def take(self, path: str) -> None:
        """Move the file or folder away, to be deleted. It stays if it cannot be moved."""
        try:
            if not isdir(path) or islink(path):
                _unlink(path)
                return
            os.makedirs(self._folder, exist_ok=True)
            self._count += 1
            aside = join(self._folder, str(self._count))
            _rename(path, aside)
        except OSError:  # it is already gone, or contains a mount
            return
        try:
            _Thread(target=remove_tree, args=(aside,), daemon=True).start()
        except RuntimeError:  # no more threads
            remove_tree(aside)
