"""Receivers for the body of an answer."""

import os
from pathlib import Path
from typing import Self

from halley.assets.disk import PIECE_BYTES, write_all
from halley.threads import run_to_completion


class MemorySink:
    """Collects a small body in memory."""

    def __init__(self) -> None:
        self._held = bytearray()

    async def write(self, data: bytes) -> None:
        self._held += data

    def value(self) -> bytes:
        return bytes(self._held)


class FileSink:
    """Writes a body to a new file, in big pieces, in a thread."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self._written_bytes = 0
        self._waiting = bytearray()

    @classmethod
    async def create(cls, path: Path) -> Self:
        """Make the file.

        Raises:
            FileExistsError: the path already exists, perhaps as a link.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return cls(path, await run_to_completion(os.open, path, flags, 0o600, undo=os.close))

    @classmethod
    async def at_end(cls, path: Path, size_bytes: int) -> Self:
        """Continue a file after its first bytes, so many; the rest of it is removed."""
        return cls(path, await run_to_completion(_open_at, path, size_bytes, undo=os.close))

    async def keep(self) -> int:
        """Write the rest and close, after an error too; returns how many bytes were added."""
        try:
            await self._flush()
        finally:
            self._close()
        return self._written_bytes

    async def write(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= PIECE_BYTES:
            await self._flush()

    async def finish(self) -> None:
        """Write the rest and close. Not synced: an input that is lost in a power failure is fetched again."""
        await self._flush()
        self._close()

    def discard(self) -> None:
        """Close and remove the file."""
        self._close()
        self._path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        data, self._waiting = self._waiting, bytearray()
        await run_to_completion(write_all, self._fd, data)
        self._written_bytes += len(data)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open_at(path: Path, size_bytes: int) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(fd, size_bytes)
        os.lseek(fd, size_bytes, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd
