"""Run folders: one per lease, on the disk of the blobs, so that finished files can be linked instead of copied."""

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread

from halley.errors import StorageFull

_log = logging.getLogger(__name__)


class RunFolders:
    """Implements `dispatch.ports.Workspace`. `sweep` deletes what an earlier process left."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = f"{root}/"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self, prediction_id: str, fence: int) -> str:
        """Make a new folder. One mkdir: cheaper in the loop's thread than a call in another."""
        folder = self.name(prediction_id, fence)
        try:
            Path(folder).mkdir(mode=0o700)
        except FileExistsError:  # left by an earlier process, and could not be deleted
            return tempfile.mkdtemp(prefix=f"{prediction_id}.{fence}.", dir=self._root)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StorageFull(f"There is no room for the run folder of {prediction_id}: {error}.") from error
            raise
        return folder

    def name(self, prediction_id: str, fence: int) -> str:
        """The path of the folder. Nothing is read from the disk."""
        return f"{self._prefix}{prediction_id}.{fence}"

    async def remove(self, folder: str) -> None:
        """Delete the folder with its content, if it exists; never raises."""
        if _is_there(folder):  # for unused folders, cheaper than a call in a thread
            await anyio.to_thread.run_sync(delete_folder, Path(folder))

    def sweep(self) -> None:
        """Delete all run folders. Call it before anything runs."""
        for folder in self._root.iterdir():
            delete_folder(folder)


def _is_there(folder: str) -> bool:
    return os.path.lexists(folder)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """The temporary folder of models: empty at first, deleted at the end; after a crash, at the next start."""
    delete_folder(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may contain something that cannot be deleted
    except FileExistsError:  # not a folder, and cannot be deleted either
        path = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=path.parent))
    try:
        yield path
    finally:
        delete_folder(path)


def delete_folder(folder: Path) -> None:
    """Delete a folder, or anything that a model has put in its place."""

    def retry_after_chmod(
        _function: object, path: str, error: tuple[type[BaseException], BaseException, object]
    ) -> None:
        if isinstance(error[1], FileNotFoundError):
            return  # it is being deleted elsewhere as well
        try:
            Path(path).parent.chmod(0o700)  # a model has removed the folder's permissions
            if Path(path).is_dir() and not Path(path).is_symlink():
                Path(path).chmod(0o700)
                shutil.rmtree(path)
            else:
                Path(path).unlink(missing_ok=True)
        except OSError:
            _log.warning("run folder %s: %s could not be deleted: %r", folder.name, path, error)

    try:
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, onerror=retry_after_chmod)
        else:
            folder.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s could not be deleted: %s", folder, error)
