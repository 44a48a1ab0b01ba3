"""Run folders: one per attempt, beside the blobs so that finished files can be linked instead of copied."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread

_log = logging.getLogger(__name__)


class RunFolders:
    """Fulfils `dispatch.ports.Workspace`. What an earlier process left behind goes with `sweep`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self, prediction_id: str, attempt: int) -> Path:
        """A fresh folder. One mkdir: cheaper in the loop's thread than a trip to another."""
        folder = self._root / f"{prediction_id}.{attempt}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    async def remove(self, folder: Path) -> None:
        """Delete the folder and all that is in it; never raises."""
        await anyio.to_thread.run_sync(_delete, folder)

    def sweep(self) -> None:
        """Delete what is there: nothing runs yet."""
        for folder in self._root.iterdir():
            _delete(folder)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder for what models call temporary: empty at first, gone at the end; a crash leaves it to the next start."""
    _delete(path)
    path.mkdir(mode=0o700, parents=True)
    try:
        yield path
    finally:
        _delete(path)


def _delete(folder: Path) -> None:
    if not folder.exists():
        return

    def report(_function: object, path: str, error: object) -> None:
        _log.warning("run folder %s: %s could not be deleted: %r", folder.name, path, error)

    shutil.rmtree(folder, onerror=report)
