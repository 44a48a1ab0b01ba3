"""A disk for bytes that has so much room and no more: it fills in the middle of a write, as a real one does.

`room` in the folder of a test holds the number of bytes that may still be written; without it there is no limit. A
write that is too long writes what there is room for, and the next one finds none. What is deleted gives no room back:
the test does. While it is limited no file can be shared by a link, as between two disks: all bytes are written.
"""

import errno
import os
import threading
from pathlib import Path
from typing import Any, Final

from halley.assets import disk
from halley.blobs import files

ROOM: Final = "room"


class Room:
    """How much is left."""

    def __init__(self, folder: Path) -> None:
        self._left = folder / ROOM
        self._lock = threading.Lock()

    @property
    def is_limited(self) -> bool:
        return self._left.exists()

    def take(self, wanted: int) -> int:
        """How many of the wanted bytes may be written; at least one."""
        with self._lock:
            try:
                left = int(self._left.read_text())
            except FileNotFoundError:
                return wanted
            if wanted and not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken = min(wanted, left)
            self._left.write_text(str(left - taken))
            return taken


class ShortOs:
    """The system, as the writers of bytes see it."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: memoryview) -> int:
        return os.write(fd, data[: self._room.take(len(data))])

    def copy_file_range(self, source: int, target: int, count: int, source_at: int, target_at: int) -> int:
        count = self._room.take(min(count, os.fstat(source).st_size - source_at))
        return os.copy_file_range(source, target, count, source_at, target_at) if count else 0


def limit_room(folder: Path) -> None:
    """Let the blobs and the drafts of this process be on such a disk."""
    room = Room(folder)
    link = files._Draft.link
    disk.os = ShortOs(room)  # type: ignore[assignment]
    files._Draft.link = lambda *about: not room.is_limited and link(*about)  # type: ignore[method-assign]
