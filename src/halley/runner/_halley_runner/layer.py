"""Files that a successful setup wrote, kept for later replicas of the version, so that nothing is downloaded twice.

A layer is written under its own name beside the others, and one symbolic link makes it the version's layer. The first
replica sets the link; a layer that was not completed has none. Deletions and empty folders are not kept: setup runs
again in every replica, and finds its files there.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from os.path import dirname, isabs, isfile, islink, join, lexists, realpath, relpath
from typing import Any, Dict, List, Optional, Tuple

from .copying import copy_file, remove_tree
from .open_files import written_now
from .places import Place
from .plain import too_large

LIMIT_NAMES = 200_000
WATCH_SECONDS = 0.5  # how long files open for writing are watched for growth; a database is open too, but does not grow


class NotKept(Exception):
    """The files of setup are not kept; the text says why."""


def publish(place: Place, wanted: Dict[str, Any]) -> None:
    """Keep the files of setup, unless another replica of the version did so before. Blocks while it copies.

    Raises:
        NotKept: it is too large, or there is no room for it.
    """
    link = wanted.get("publish")
    if not link or lexists(link):
        return
    made = ""
    try:
        written = _complete(place)
        _check(written, wanted["limit_bytes"])
        os.makedirs(dirname(link), mode=0o700, exist_ok=True)
        made = "%s.%s" % (link, os.urandom(4).hex())
        os.mkdir(made, 0o700)
        moved = _fill(made, written, place)
        _sync(made)
        os.symlink(os.path.basename(made), link)
        _leave_links(moved)
        _sync(dirname(link))
    except FileExistsError:
        remove_tree(made)
    except OSError as error:
        if made and not islink(link):
            remove_tree(made)
        raise NotKept("it cannot be written to the data folder: %s" % (error.strerror or error)) from None


def _complete(place: Place) -> List[Tuple[str, str, str]]:
    """What was written, without files that are growing now: a download in the background is not complete."""
    written = place.written()
    open_now, folder = written_now(), realpath(place.folder)
    open_files = [path for part, name, path in written if part == "files" and join(folder, name) in open_now]
    if not open_files:
        return written
    before = [_stamp(path) for path in open_files]
    time.sleep(WATCH_SECONDS)
    growing = {path for path, stamp in zip(open_files, before) if _stamp(path) != stamp}
    return [entry for entry in written if entry[2] not in growing]


def _stamp(path: str) -> Tuple[int, int]:
    found = os.lstat(path)
    return found.st_size, found.st_mtime_ns


def _check(written: List[Tuple[str, str, str]], limit_bytes: int) -> None:
    size = sum(os.lstat(path).st_size for _, _, path in written)
    if size > limit_bytes:
        raise NotKept("it is %d bytes, and isolation.setup_bytes is %d" % (size, limit_bytes))
    if len(written) > LIMIT_NAMES:
        raise NotKept("it is %d files, and at most %d are kept" % (len(written), LIMIT_NAMES))


def _fill(made: str, written: List[Tuple[str, str, str]], place: Place) -> List[Tuple[str, str]]:
    """Copy everything. If a large file's original becomes a link into the layer, the file is hard-linked instead of
    copied.
    """
    moved: List[Tuple[str, str]] = []
    linked = too_large(path for _, _, path in written if isfile(path) and not islink(path)) if place.is_copy else set()
    for part, name, path in written:
        target = join(made, part, name)
        try:
            os.makedirs(dirname(target), exist_ok=True)
            if islink(path):
                text = _lasting(path, part, place)
                if text is not None:
                    os.symlink(text, target)
            elif path in linked and _link(path, target):
                moved.append((path, target))
            else:
                _copy(path, target)
        except FileNotFoundError:  # a temporary file that was removed
            continue
    return moved


def _lasting(path: str, part: str, place: Place) -> Optional[str]:
    """The text of a link that is valid in the next replica too; None if it leads into this replica's own folder."""
    text = os.readlink(path)
    if not isabs(text):
        return text
    for folder in (place.folder, realpath(place.folder)) if place.is_copy and part == "files" else ():
        if text == folder or text.startswith(folder + os.sep):
            return relpath(join(place.folder, relpath(text, folder)), dirname(path))
    is_own = any(text.startswith(own + os.sep) for own in (place.own, realpath(place.own)))
    return None if is_own else text


def _link(path: str, target: str) -> bool:
    try:
        os.link(path, target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            return False
        raise
    return True


def _leave_links(moved: List[Tuple[str, str]]) -> None:
    for path, target in moved:
        link = path + ".halley-link"
        os.symlink(target, link)
        os.replace(link, path)


def _copy(path: str, target: str) -> None:
    copy_file(path, target)
    if not path.endswith(".pyc"):  # a damaged .pyc is written again by Python
        _sync(target)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) or stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
