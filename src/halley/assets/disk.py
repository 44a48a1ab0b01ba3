"""Copies bytes on disk, and reports a full disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from halley.errors import StorageFull

PIECE_BYTES: Final = 2**20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_KERNEL_COPY: Final = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM}
)


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Raise StorageFull if the system reports that there is no room; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(
                "The disk of the data folder has no room left. Free some space, or move the data to a larger disk."
            ) from error
        raise


def copy_bytes(source: int, target: int, size_bytes: int) -> None:
    """Copy the first `size_bytes` of an open file into another, empty one; the source may be shorter.

    Uses the kernel's own copy where possible; some file systems then share the blocks.

    Raises:
        StorageFull: no room.
    """
    if _kernel_copy(source, target, size_bytes):
        return
    os.ftruncate(target, 0)
    os.lseek(target, 0, os.SEEK_SET)
    for piece in pieces(source, size_bytes):
        write_all(target, piece)


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write all of the data.

    Raises:
        StorageFull: no room.
    """
    view = memoryview(data)
    with reporting_full_disk():
        while view:
            view = view[os.write(fd, view) :]


def pieces(fd: int, size_bytes: int | None = None) -> Iterator[bytes]:
    """Yield an open file's bytes from the beginning, at most `size_bytes`."""
    at = 0
    while size_bytes is None or at < size_bytes:
        piece = os.pread(fd, PIECE_BYTES if size_bytes is None else min(PIECE_BYTES, size_bytes - at), at)
        if not piece:
            return
        at += len(piece)
        yield piece


def _kernel_copy(source: int, target: int, size_bytes: int) -> bool:
    at = 0
    with reporting_full_disk():
        while at < size_bytes:
            try:
                copied = os.copy_file_range(source, target, size_bytes - at, at, at)
            except OSError as error:
                if error.errno in _NO_KERNEL_COPY:
                    return False
                raise
            if not copied:
                break
            at += copied
    return True
