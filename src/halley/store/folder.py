"""The data folder: who holds it.

One server at a time: it may reap every session at start, because no other process can be running work from this folder.
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


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that uses a data folder."""

    pid: int
    url: str = ""


class DataFolder:
    """A held data folder."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def announce(self, url: str) -> None:
        """Write down where this server can be reached, for the next one that finds the folder taken."""
        content = msgspec.json.encode(Holder(pid=os.getpid(), url=url))
        try:
            os.pwrite(self._lock, content, 0)
        except OSError:  # a full disk: the lock holds all the same, it only does not say whose it is
            content = b""
        os.ftruncate(self._lock, len(content))


@contextmanager
def hold(path: Path) -> Iterator[DataFolder]:
    """Hold the data folder while the block runs; made if it is not there.

    Raises:
        Unusable: another process holds it, or it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unusable(f"The data folder {path} cannot be used: {error}. Choose another with --data.") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(lock)
            who = f"process {holder.pid}" + (f" at {holder.url}" if holder.url else "") if holder else "another process"
            raise Unusable(
                f"The data folder {path} is used by {who}. Stop it first, or choose another folder with --data."
            ) from None
        folder = DataFolder(path, lock)
        folder.announce("")
        yield folder
    finally:
        os.close(lock)  # the lock goes with the last descriptor, however the process ends


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
