"""A file that counts the bytes read from it, for the progress of an upload."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO


class Counted:
    """The part of a binary file's interface that an HTTP client uses."""

    def __init__(self, file: BinaryIO, on_read: Callable[[int], None]) -> None:
        """`on_read` is called with the position after each read."""
        self._file = file
        self._on_read = on_read

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_read(self._file.tell())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()
