"""Files that setups left, by version: kept in the data folder for the next processes.

`VERSION` is a symbolic link to the folder of the layer, `VERSION.xxxxxxxx`: making the link publishes the layer in one
step. A folder without a link was not completed, or has been cleared.
"""

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from halley.replicas.workspace import delete_folder

UNNAMED_SECONDS: Final = 600.0  # another server with the same folder may be writing it

_log = logging.getLogger(__name__)


class SetupLayers:
    """The layers in one folder. All methods block: for a check on the disk, `clear` and `sweep` for deletions."""

    def __init__(self, folder: Path, *, limit_bytes: int, is_shared: bool = False) -> None:
        """`is_shared`: processes of other servers may use a layer, so none is deleted before a start without them."""
        self.folder: Final = folder
        self._limit_bytes = limit_bytes
        self._is_shared = is_shared

    def wanted(self, version: str) -> dict[str, Any]:
        """Instructions for the runner: the layer to begin with, and where to publish a new one."""
        link = self.folder / version
        instructions: dict[str, Any] = {"publish": str(link), "limit_bytes": self._limit_bytes}
        if link.is_dir():
            instructions["layer"] = str(link.resolve())
        return instructions

    def is_kept(self, version: str) -> bool:
        """Whether a setup of this version has published a layer; it may be empty."""
        return (self.folder / version).is_dir()

    def clear(self, version: str, *, in_use: bool) -> int | None:
        """Remove the link to the version's layer; its files stay until the next start if processes use them.

        Returns its size in bytes; None if there is none.
        """
        link = self.folder / version
        if not link.is_symlink():
            return None
        try:
            layer = link.resolve(strict=True)
            link.unlink()
        except OSError:
            return None
        size = _size(layer)
        if not (in_use or self._is_shared):
            delete_folder(layer)
        return size

    def sweep(self, now: datetime) -> None:
        """Delete folders without a link. Call it before anything runs."""
        newest = now.timestamp() - UNNAMED_SECONDS
        if not self.folder.is_dir():
            return
        named = {entry.resolve() for entry in self.folder.iterdir() if entry.is_symlink()}
        for entry in self.folder.iterdir():
            with suppress(OSError):
                if entry.is_symlink():
                    if not entry.exists():
                        entry.unlink()
                elif entry.resolve() not in named and entry.stat().st_mtime < newest:
                    delete_folder(entry)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
