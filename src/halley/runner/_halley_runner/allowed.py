"""Which files a model may return, and which paths it may receive.

A file is checked after it was opened, by what the kernel says about the descriptor: a name may be replaced between
check and use, an open file may not. All folders are those in the replica's own mount namespace.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

COARSE_NS = 20_000_000  # file timestamps come from a clock that may be behind by one tick
READ_BYTES = 2**20
SYSTEM = ("/proc", "/sys", "/dev")
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only compared
GONE = " (deleted)"

_wall_ns = time.time_ns  # imported before a model can replace it


class Device(OSError):
    """The path is a device; opening a device may have effects."""


class Opened(NamedTuple):
    """An open file and its real path (links resolved)."""

    descriptor: int
    found: os.stat_result
    real: str


class Bounds:
    """The folders of one replica.

    `source` is the model's folder or single file. `own` are other folders whose files it may return; `shared` are
    folders inside these that belong to the whole machine. `data` is the server's data folder: only its parts listed in
    `own` are readable. `secrets` are further files that are never returned. `input_folders` may be named in inputs,
    because the operator allowed it.
    """

    def __init__(
        self,
        *,
        source: str,
        own: Sequence[Optional[str]] = (),
        shared: Sequence[str] = (),
        data: Optional[str] = None,
        secrets: Tuple[str, ...] = (),
        input_folders: Tuple[str, ...] = (),
    ) -> None:
        self._single = os.path.realpath(source) if os.path.isfile(source) else None
        folder = os.path.dirname(source) if self._single else source
        self._source = os.path.realpath(folder)
        self._own = tuple(os.path.realpath(place) for place in (folder, *own) if place)
        self._shared = tuple(os.path.realpath(place) for place in shared)
        self._data = os.path.realpath(data) if data else None
        self._secrets = secrets
        self._input_folders = tuple(os.path.realpath(place) for place in input_folders)
        self._devices = [os.stat(place).st_dev for place in ("/proc", "/sys") if os.path.isdir(place)]
        self._began = _wall_ns()
        self._set_up: Optional[int] = None

    def setup_ended(self) -> None:
        """Note that setup has ended: files made later belong to a prediction."""
        self._set_up = _wall_ns()

    def add_own(self, folder: str) -> None:
        """Count this folder among the model's own folders from now on."""
        self._own += (os.path.realpath(folder),)

    def why_not(self, opened: Opened, folder: str, began: int) -> Optional[str]:
        """Why this file may not be returned; None if it may. `folder` is the run folder of the prediction."""
        real, found = opened.real, opened.found
        if _is_system(real) or found.st_dev in self._devices:
            return "files of the system are not given out"
        if not stat.S_ISREG(found.st_mode):
            return "it is not a file"
        run = os.path.realpath(folder) if folder else ""
        if self._is_the_servers(opened, run):
            return "files of the server are not given out"
        own = self._nearest(real, run)
        if self._data and _is_inside(real, self._data) and len(own) < len(self._data):
            return "files of the server are not given out"
        if own and not self._is_beside_source(real, own):
            return None
        if self.is_since(found, began) or self._is_of_setup(found):
            return None
        return "it was there before this prediction, and outside of the model's own folders"

    def opens_to_inputs(self, path: str) -> bool:
        """Whether the operator allows this path in inputs."""
        real = os.path.realpath(path)
        return any(real == place or _is_inside(real, place) for place in self._input_folders)

    def is_own(self, path: str) -> bool:
        """Whether the path is in one of the model's own folders."""
        real = os.path.realpath(path)
        own = self._nearest(real, "")
        if not own or self._is_beside_source(real, own):
            return False
        return not (self._data and _is_inside(real, self._data) and len(own) < len(self._data))

    def was_made_since(self, path: str, began: int) -> bool:
        """Whether this file was made or changed since `began` (ns), and does not belong to the system or the server."""
        try:
            found = os.stat(path)
        except OSError:
            return False
        real = os.path.realpath(path)
        if self._data and _is_inside(real, self._data):
            return False  # own files there are recognised without their times
        return not _is_system(real) and found.st_dev not in self._devices and self.is_since(found, began)

    @staticmethod
    def is_since(found: os.stat_result, began: int) -> bool:
        """Whether the status changed since `began`: when the file was made, written, linked or renamed. A copy keeps
        older times.
        """
        return found.st_ctime_ns >= began - COARSE_NS

    def _is_of_setup(self, found: os.stat_result) -> bool:
        if not self.is_since(found, self._began):
            return False
        return self._set_up is None or found.st_ctime_ns <= self._set_up

    def _nearest(self, real: str, run: str) -> str:
        """The innermost own folder that contains the path; empty if there is none, or if a shared folder is
        between.
        """
        places = (run, *self._own, *self._shared) if run else (*self._own, *self._shared)
        around = [place for place in places if real == place or _is_inside(real, place)]
        nearest = max(around, key=len) if around else ""
        return nearest if nearest == run or nearest in self._own else ""

    def _is_beside_source(self, real: str, own: str) -> bool:
        """Whether the file only shares the folder of a single-file model, such as a person's own settings."""
        if self._single is None or own != self._source:
            return False
        return any(part.startswith(".") for part in real[len(own) :].split(os.sep))

    def _is_the_servers(self, opened: Opened, run: str) -> bool:
        """Whether this is one of the server's files under any name: a hard link is recognised by its inode number."""
        for path in self._secrets:
            if _is_same(path, opened.found):
                return True
        if self._data is None:
            return False
        for name in _names(self._data):
            if _is_same(os.path.join(self._data, name), opened.found):
                return True
        return opened.found.st_nlink > 1 and not _is_inside(opened.real, run) and self._is_kept(opened)

    def _is_kept(self, opened: Opened) -> bool:
        """Whether the server itself stores this very file: in another run folder, or as a blob."""
        try:
            if os.stat(self._data or "").st_dev != opened.found.st_dev:
                return False
        except OSError:
            return False
        runs = os.path.join(self._data or "", "runs")
        for folder, _, names in os.walk(runs):
            if any(_is_same(os.path.join(folder, name), opened.found) for name in names):
                return True
        digest = _digest(opened.descriptor)
        return _is_same(os.path.join(self._data or "", "blobs", digest[:2], digest), opened.found)


def open_file(path: str) -> Opened:
    """Open a file to read, and find its real path.

    Raises:
        the path is a device.
        OSError: it cannot be opened.
    """
    kind = os.stat(path).st_mode
    if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
        raise Device
    # O_NONBLOCK: opening a pipe must not block
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return inspect_descriptor(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def inspect_descriptor(descriptor: int) -> Opened:
    """What is known of an open descriptor. The path is empty for a pipe or a socket.

    Raises:
        OSError: it is not open.
    """
    real = os.readlink("/proc/self/fd/%d" % descriptor)
    found = os.fstat(descriptor)
    if real.endswith(GONE) and not os.path.lexists(real):
        real = real[: -len(GONE)]
    return Opened(descriptor, found, real)


def texts_of(value: Any) -> List[str]:
    """All text in a JSON value, keys too."""
    found: List[str] = []
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            left.extend(item)
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return found


def _is_system(real: str) -> bool:
    return not _is_inside(real, SHARED_MEMORY) and any(real == place or _is_inside(real, place) for place in SYSTEM)


def _is_inside(real: str, folder: str) -> bool:
    return real.startswith(folder.rstrip(os.sep) + os.sep)


def _is_same(path: str, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), found)
    except OSError:
        return False


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _digest(descriptor: int) -> str:
    import hashlib  # rarely needed, and it costs a megabyte

    digest, at = hashlib.sha256(), 0
    while True:
        piece = os.pread(descriptor, READ_BYTES, at)
        if not piece:
            return digest.hexdigest()
        digest.update(piece)
        at += len(piece)
