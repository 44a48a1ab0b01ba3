"""The lock of the data folder.

One server at a time: it may reap every session at start, because no other process can be running work from this folder.
Tests may share a folder between processes. Then they start one after the other, and a process that finds no other is
alone until the next one may start.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from halley.errors import Unusable

_LOCK_NAME: Final = "halley.lock"
_START_NAME: Final = "halley.start"  # locked by the process that is starting, if several share the folder


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that uses a data folder."""

    pid: int
    url: str = ""


class DataFolder:
    """A held data folder. `is_alone`: no other process used it when it was opened."""

    def __init__(self, path: Path, lock: int, start: int | None = None, *, is_alone: bool = True) -> None:
        self.path = path
        self.is_alone = is_alone
        self._lock = lock
        self._start = start

    def announce(self, url: str) -> None:
        """Record the URL of this server, for the message to the next process that finds the folder taken."""
        content = msgspec.json.encode(Holder(pid=os.getpid(), url=url))
        try:
            os.pwrite(self._lock, content, 0)
        except OSError:  # a full disk: the lock is held nevertheless, only its holder is not named
            content = b""
        os.ftruncate(self._lock, len(content))

    def let_others_start(self) -> None:
        """Work that only a process alone may do has ended. Does nothing a second time."""
        if self._start is not None:
            os.close(self._start)
            self._start = None


@contextmanager
def hold(path: Path, *, is_shared: bool = False) -> Iterator[DataFolder]:
    """Hold the data folder while the block runs; it is created if it does not exist.

    `is_shared`: other processes with this option may use it as well, after `let_others_start`.

    Raises:
        Unusable: another process holds it, or it cannot be created.
    """
    lock = _open(path, _LOCK_NAME)
    try:
        folder = _share(path, lock) if is_shared else DataFolder(path, lock)
        try:
            if not is_shared:
                _take(path, lock, fcntl.LOCK_EX)
            if folder.is_alone:
                folder.announce("")
            yield folder
        finally:
            folder.let_others_start()
    finally:
        os.close(lock)  # the lock ends with the last descriptor, however the process ends


def _open(path: Path, name: str) -> int:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = error.strerror
        if isinstance(error, FileExistsError):
            what = "it is no folder"
        elif isinstance(error, NotADirectoryError):
            what = "a part of its path is no folder"
        where = "" if error.filename in (None, str(path)) else f" ({error.filename})"
        raise Unusable(
            f"The data folder {path} cannot be used: {what or error}{where}. Choose another with --data."
        ) from error


def _take(path: Path, lock: int, kind: int) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _read(lock)
        who = f"process {holder.pid}" + (f" at {holder.url}" if holder.url else "") if holder else "another process"
        raise Unusable(
            f"The data folder {path} is used by {who}. Stop it first, or choose another folder with --data."
        ) from None


def _share(path: Path, lock: int) -> DataFolder:
    """Join the processes that share the folder; waits while another one starts."""
    start = _open(path, _START_NAME)
    try:
        fcntl.flock(start, fcntl.LOCK_EX)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except BlockingIOError:
            is_alone = False
        _take(path, lock, fcntl.LOCK_SH)
    except BaseException:
        os.close(start)
        raise
    return DataFolder(path, lock, start, is_alone=is_alone)


def holder_of(path: Path) -> Holder | None:
    """The process that holds a data folder now, or None."""
    try:
        lock = os.open(path / _LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(lock)
    else:
        return None
    finally:
        os.close(lock)


def _read(lock: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(lock, 4096, 0), type=Holder)
    except msgspec.MsgspecError:
        return None
