"""Blobs as files: written as a draft, synced, renamed into place, and only then recorded.

    FOLDER/tmp/            unfinished files, swept by `prepare`
    FOLDER/3f/3f2a...      finished blobs, named by their SHA-256, in 256 folders

This order (data sync, rename, folder sync) guarantees that a blob with a name is complete, even after a power failure.
"""

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from math import inf
from pathlib import Path
from typing import Final

from anyio import to_thread

from halley.assets.disk import PIECE_BYTES, copy_bytes, pieces, reporting_full_disk, write_all
from halley.assets.ports import BlobInfo
from halley.errors import NotFound, TooLarge
from halley.threads import run_to_completion

_log: Final = logging.getLogger(__name__)

_LOCK_POLL_SECONDS: Final = 0.01
_READING: Final = os.O_RDONLY | os.O_CLOEXEC
_HEX: Final = frozenset("0123456789abcdef")


class FileBlobs:
    """`Blobs` in a folder of this machine. Several processes may write to it if they exclude each other by `alone`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._text = str(folder)
        self._tmp = folder / "tmp"

    def prepare(self, *, is_alone: bool = True) -> int:
        """Make the folder and delete unfinished files that a crash left; returns their number.

        Files that cannot be deleted stay, and are named in the log. Call it once at start, before the first `put`. A
        process that is not alone in the data folder deletes nothing: others may be writing.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tmp.mkdir(exist_ok=True)
        if not is_alone:
            return 0
        return sum([_is_swept(Path(entry.path)) for entry in os.scandir(self._tmp)])

    async def put(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> BlobInfo:
        draft = await run_to_completion(_Draft, self._tmp, undo=_Draft.discard)
        try:
            waiting: list[bytes] = []
            waiting_bytes = 0
            async for chunk in chunks:
                waiting.append(chunk)
                waiting_bytes += len(chunk)
                if draft.size_bytes + waiting_bytes > limit_bytes:
                    raise TooLarge(f"The data is longer than the limit of {limit_bytes} bytes.")
                if waiting_bytes >= PIECE_BYTES:
                    await run_to_completion(draft.write, b"".join(waiting))
                    waiting.clear()
                    waiting_bytes = 0
            return await run_to_completion(self._finish, draft, b"".join(waiting))
        finally:
            draft.discard()

    async def adopt(self, path: Path, *, take: bool = False, source: int | None = None) -> BlobInfo:
        return await run_to_completion(self._adopt, path, take, source)

    def drafts(self) -> Path | None:
        return self._tmp

    @asynccontextmanager
    async def alone(self, sha256: str) -> AsyncIterator[None]:
        """Keep other processes from noting a need for these bytes, or deleting them, during the block."""
        shard = self._folder / sha256[:2]
        shard.mkdir(exist_ok=True)
        lock = os.open(shard, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not _is_locked(lock):  # noqa: ASYNC110 - another process has it: nothing here can wake us
                await asyncio.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(lock)

    async def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        fd = await run_to_completion(self._open, sha256, undo=os.close)
        try:
            at = start
            while end is None or at < end:
                size = PIECE_BYTES if end is None else min(PIECE_BYTES, end - at)
                chunk = await run_to_completion(os.pread, fd, size, at)
                if not chunk:
                    return
                at += len(chunk)
                yield chunk
        finally:
            os.close(fd)

    def path(self, sha256: str) -> Path | None:
        place = self._place(sha256)
        return place if place is not None and place.is_file() else None

    def descriptor(self, sha256: str) -> int | None:
        # as text: making Path objects costs more than opening the file
        try:
            return os.open(f"{self._text}/{sha256[:2]}/{sha256}", _READING) if _is_digest(sha256) else None
        except FileNotFoundError:
            return None

    async def delete(self, sha256: str) -> None:
        place = self._place(sha256)
        if place is not None:
            # in a thread: the file system may need long to remove a big file
            await to_thread.run_sync(lambda: place.unlink(missing_ok=True))

    async def exists(self, sha256: str) -> bool:
        return self.path(sha256) is not None

    async def stored(self, after: str, limit: int, older_than_seconds: float) -> list[str]:
        return await to_thread.run_sync(self._stored, after, limit, older_than_seconds)

    def _stored(self, after: str, limit: int, older_than_seconds: float) -> list[str]:
        os.utime(self._tmp)  # sets its change time to now, by the clock that stamps the blobs
        born_by = self._tmp.stat().st_ctime - older_than_seconds
        old = (path.name for path in self._above(after) if _born(path) <= born_by)
        return list(islice(old, limit))

    def _above(self, after: str) -> Iterator[Path]:
        """All blobs with names above this one, in order."""
        for shard in sorted(self._folder.iterdir()):
            if len(shard.name) == 2 and shard.name >= after[:2]:
                yield from (path for path in _sorted(shard) if path.name > after and self._is_blob(path))

    def _is_blob(self, path: Path) -> bool:
        return self._place(path.name) == path

    def _place(self, sha256: str) -> Path | None:
        # only a digest can be a name: no other text from outside may become a path
        if not _is_digest(sha256):
            return None
        return self._folder / sha256[:2] / sha256

    def _open(self, sha256: str) -> int:
        place = self._place(sha256)
        try:
            if place is not None:
                return os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            pass
        raise NotFound(f"There are no stored bytes with SHA-256 {sha256[:64]!r}.")

    def _finish(self, draft: "_Draft", rest: bytes) -> BlobInfo:
        draft.write(rest)
        return self._publish(draft)

    def _adopt(self, path: Path, take: bool, opened: int | None) -> BlobInfo:
        # O_NONBLOCK: opening a pipe must not block the thread
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        source = os.open(path, flags) if opened is None else os.dup(opened)
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            draft = _Draft(self._tmp)
            try:
                if not (take and draft.link(path, found)):
                    draft.copy(source, found.st_size)
                return self._publish(draft)
            finally:
                draft.discard()
        finally:
            os.close(source)

    def _publish(self, draft: "_Draft") -> BlobInfo:
        info = draft.seal()
        shard = self._folder / info.sha256[:2]
        with reporting_full_disk():
            if not shard.is_dir():
                shard.mkdir(exist_ok=True)
                _sync_folder(self._folder)
            # always replaces an existing file: equal bytes make it harmless, and a file damaged on disk is repaired
            draft.path.replace(shard / info.sha256)
            _sync_folder(shard)
        return info


def _is_locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_digest(sha256: str) -> bool:
    return len(sha256) == 64 and _HEX.issuperset(sha256)


class _Draft:
    """An unfinished file that hashes what is written to it."""

    def __init__(self, folder: Path) -> None:
        with reporting_full_disk():
            try:
                self._fd, name = tempfile.mkstemp(dir=folder)
            except FileNotFoundError:
                folder.mkdir(parents=True, exist_ok=True)
                self._fd, name = tempfile.mkstemp(dir=folder)
        self.path = Path(name)
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        write_all(self._fd, data)
        self._hash.update(data)
        self.size_bytes += len(data)

    def copy(self, source: int, size_bytes: int) -> None:
        """Copy at most `size_bytes`: a file that grows meanwhile must not block this forever."""
        copy_bytes(source, self._fd, size_bytes)
        self._hash_own()

    def link(self, path: Path, found: os.stat_result) -> bool:
        """Share the file's inode instead of copying; False if that is not possible."""
        linked = self.path.with_name(self.path.name + ".link")
        try:
            os.link(path, linked, follow_symlinks=False)
        except OSError:
            return False  # another file system, or hard links are not allowed: the caller copies
        try:
            fd = os.open(linked, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            linked.unlink()
            return False
        if not os.path.samestat(os.fstat(fd), found):  # the path now names another file
            os.close(fd)
            linked.unlink()
            return False
        linked.replace(self.path)
        os.close(self._fd)
        self._fd = fd
        self._hash_own()
        return True

    def seal(self) -> BlobInfo:
        """Sync the bytes to the disk and return their name. An error of the sync is not retried, but raised."""
        with reporting_full_disk():
            os.fchmod(self._fd, 0o400)
            os.fsync(self._fd)
        return BlobInfo(sha256=self._hash.hexdigest(), size_bytes=self.size_bytes)

    def discard(self) -> None:
        """Close the file, and remove it if it was not published."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(FileNotFoundError):
            self.path.unlink()

    def _hash_own(self) -> None:
        # the copy is hashed, not the source: the name must match the stored bytes, even if the source changes meanwhile
        for piece in pieces(self._fd):
            self._hash.update(piece)
            self.size_bytes += len(piece)


def _sorted(folder: Path) -> list[Path]:
    """The folder's entries; none if it cannot be read, because that must not block the other folders."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        _log.warning("%s cannot be listed: %s", folder, error)
        return []


def _is_swept(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        _log.warning("%s was left by an earlier process and cannot be deleted: %s", path, error)
        return False
    return True


def _born(path: Path) -> float:
    """When it was put into its place: the change time, since a linked draft may have been written long before."""
    try:
        return path.stat().st_ctime
    except OSError:  # just deleted, or not readable
        return inf


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
