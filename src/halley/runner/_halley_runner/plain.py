"""Used where mounts are not allowed: a working directory with copies of the model's files.

The model is imported from there, so that what it writes beside `__file__` goes there too. Large files, usually weights,
are links; a model that writes into one of those changes the original file.
"""

from __future__ import annotations

import os
import stat
from os.path import isdir, isfile, islink, join, lexists, realpath, relpath
from typing import Any, Dict, Iterable, Set

from .copying import copy_file, keep_stat, remove_tree

COPY_BYTES = 8 * 2**20
LAYER_COPY_BYTES = 256 * 2**20  # of what setup left; a warm-up writes files that predictions write again
MOST_FILES, MOST_BYTES = 20_000, 2**30  # copied in all; further files are links
LINKED = frozenset((".git", ".hg", ".svn", "node_modules"))  # large, and models do not write into them
ENVIRONMENT_MARK = "pyvenv.cfg"


def fill_working_directory(place: Dict[str, Any], folder: str) -> str:
    """Fill the replica's working directory from the model's folder and from an earlier setup. Returns the directory.

    Raises:
        OSError: the directory cannot be filled, as on a full disk.
    """
    work = join(place["folder"], "files")
    os.makedirs(work, exist_ok=True)
    own = [realpath(path) for path in place.get("keep", ())]
    filling = _FolderCopy(realpath(folder), work, own)
    single = place.get("single")
    if single:  # other files beside a single-file model do not belong to it
        filling.link_all_but(single)
    else:
        filling.fill("")
    layer = place.get("layer") or ""
    if layer and isdir(join(layer, "files")):
        add_setup_files(join(layer, "files"), work)
    return work


def add_setup_files(source: str, target: str) -> None:
    """Add the files that an earlier setup left: small ones as copies, large ones as links."""
    files_below: Dict[str, str] = {}
    for name, folders, files in os.walk(source):
        into = join(target, relpath(name, source))
        if islink(into) or isfile(into):  # setup replaced it by a folder
            os.unlink(into)
        os.makedirs(into, exist_ok=True)
        for child in (*files, *(one for one in folders if islink(join(name, one)))):
            path, new = join(name, child), join(into, child)
            if lexists(new):
                _remove(new)
            if islink(path):
                os.symlink(os.readlink(path), new)
            else:
                files_below[path] = new
    linked = too_large(files_below)
    for path, new in files_below.items():
        if path in linked:
            os.symlink(path, new)
        else:
            copy_file(path, new)


def too_large(paths: Iterable[str]) -> Set[str]:
    """Which of these files, left by a setup, are too large to copy: the largest."""
    linked: Set[str] = set()
    total = 0
    for size, path in sorted((os.lstat(path).st_size, path) for path in paths):
        if size > COPY_BYTES and (size > LAYER_COPY_BYTES or total + size > MOST_BYTES):
            linked.add(path)
        else:
            total += size
    return linked


class _FolderCopy:
    """Copies one folder, within limits."""

    def __init__(self, source: str, work: str, kept: Iterable[str]) -> None:
        self._source = source
        self._work = work
        self._kept = frozenset(kept)
        self._files = self._bytes = 0

    def link_all_but(self, single: str) -> None:
        """For a single-file model: copy the file, and link the other files of its folder."""
        for entry in os.scandir(self._source):
            if entry.name == single:
                self._take_file(entry, join(self._work, entry.name))
            elif not self._holds_work(entry.path):
                os.symlink(entry.path, join(self._work, entry.name))

    def fill(self, relative: str) -> None:
        """Copy what is in this folder of the source."""
        for entry in os.scandir(join(self._source, relative)):
            below = join(relative, entry.name)
            target = join(self._work, below)
            try:
                self._take(entry, below, target)
            except PermissionError:
                if isdir(target):  # made before its source was found unreadable
                    os.rmdir(target)
                os.symlink(entry.path, target)  # the model gets the same error as always

    def _take(self, entry: Any, below: str, target: str) -> None:
        if entry.is_symlink():
            os.symlink(self._link_of(entry.path, target), target)
        elif entry.is_dir():
            if self._holds_work(entry.path):
                return  # the data folder is inside the model's folder; it does not belong to the model
            if entry.name in LINKED or entry.path in self._kept or lexists(join(entry.path, ENVIRONMENT_MARK)):
                os.symlink(entry.path, target)
                return
            os.mkdir(target)
            self.fill(below)
            keep_stat(entry.stat(), target)
            os.chmod(target, stat.S_IMODE(entry.stat().st_mode) | stat.S_IRWXU)
        elif entry.is_file():
            self._take_file(entry, target)

    def _take_file(self, entry: Any, target: str) -> None:
        size = entry.stat().st_size
        if size > COPY_BYTES or self._files >= MOST_FILES or self._bytes + size > MOST_BYTES:
            os.symlink(entry.path, target)
            return
        self._files += 1
        self._bytes += size
        copy_file(entry.path, target)

    def _link_of(self, path: str, target: str) -> str:
        """The text of a link: a link to another file of the model leads to the copy of that file."""
        real = realpath(path)
        if real.startswith(self._source + os.sep):
            inside = join(self._work, real[len(self._source) + 1 :])
            return relpath(inside, os.path.dirname(target))
        return real

    def _holds_work(self, path: str) -> bool:
        return (realpath(self._work) + os.sep).startswith(path + os.sep)


def _remove(path: str) -> None:
    if isdir(path) and not islink(path):
        remove_tree(path)
    else:
        os.unlink(path)
