"""What a successful setup wrote, kept for the next replicas of the version: nothing is downloaded twice.

A layer is written beside the others under a name of its own, and becomes the version's by one symbolic link: the first
one wins, and one that was cut off halfway is nobody's. Deletions are not kept, nor empty folders: setup runs again in
every replica, and only finds its files there already.
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
WATCH_SECONDS = 0.5  # how long files that are open to write are watched; a database is open, too, but rests


class NotKept(Exception):
    """What setup wrote is not kept; the text says why."""


def publish(place: Place, wanted: Dict[str, Any]) -> None:
    """Keep what setup wrote, if nobody has done so for this version. Blocks while it copies.

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
    """What was written, but for files that grow while we look: a download in the background is not all there."""
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
    """Copy everything. A large file gets a second name instead, where its first is going to be a link to that."""
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
        except FileNotFoundError:  # a file that came and went
            continue
    return moved


def _lasting(path: str, part: str, place: Place) -> Optional[str]:
    """The text of a link that means the same in the next replica; None if it leads to what goes with this one."""
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
    if not path.endswith(".pyc"):  # one that is damaged is made again
        _sync(target)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) or stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
