"""Computes a version's id from the bytes of its source, its schema and its environment.

Source: design section 5, last paragraph.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from halley.errors import Unusable
from halley.replicas.loading import ModelSource

BIG_BYTES: Final = 8 * 2**20  # weights: hashed once, then recognised by path, size, time and inode
_SKIPPED: Final = frozenset({
    ".git", ".hg", ".svn", "__pycache__", ".cog", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints",
    "node_modules", ".DS_Store",
})  # fmt: skip
_RESULTS: Final = "outputs"  # at the top of the folder only; further down it may be a package of that name
_PROJECT: Final = ("pyproject.toml", "setup.py")  # pip may build in a folder with one of these
_ENVIRONMENT_MARK: Final = "pyvenv.cfg"  # a folder with this file is a virtual environment, under any name


class HashedFile(msgspec.Struct, frozen=True):
    """One file of a source. `changed_at` in seconds since 1970; `content` is the SHA-256 in hex, or describes a
    link.
    """

    relative: str
    content: str
    changed_at: float
    size: int


class DigestCache:
    """Digests of big files, kept between starts in one small JSON file; with None, for this run only. Blocks; for one
    thread at a time.

    Blocks; for one thread at a time.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        if path is not None:
            try:
                self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
            except (OSError, msgspec.DecodeError):  # absent or damaged: a cache may start empty
                self._known = {}

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's content, in hex."""
        stat = path.stat()
        if stat.st_size <= BIG_BYTES:
            return _sha256(path)
        key = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}"
        if key not in self._known:
            self._known[key] = _sha256(path)
            self._save()
        return self._known[key]

    def _save(self) -> None:
        if self._path is None:
            return
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")  # others may write theirs
        with suppress(OSError):  # a full disk: the file is hashed again after the next start
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(msgspec.json.encode(self._known))
            aside.replace(self._path)


def source_digest(source: ModelSource, cache: DigestCache | None = None) -> str:
    """SHA-256 over the sorted list of (relative path, SHA-256 of the content). Blocks while it reads the folder.

    Caches, version control, virtual environments and outputs are excluded.

    Raises:
        Unusable: a file cannot be read; names it.
    """
    return joint_digest(hashed_files(source, cache or DigestCache()))


def hashed_files(source: ModelSource, cache: DigestCache) -> list[HashedFile]:
    """The files that count for `source_digest`, each with its own digest. Blocks while it reads the folder.

    Raises:
        Unusable: a file cannot be read; names it.
    """
    try:
        return [_hashed(relative, path, cache) for relative, path in _files(source)]
    except OSError as error:
        raise Unusable(f"The model {source.name} cannot be read: {error}.") from error


def joint_digest(files: Iterable[HashedFile]) -> str:
    """SHA-256 over the names and digests, in the order of the names."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative):
        whole.update(msgspec.json.encode([os.fsencode(file.relative), file.content]))
    return whole.hexdigest()


def environment_tag() -> str:
    """The part of a version's id that depends on the interpreter."""
    return str(sys.implementation.cache_tag)


def version_id(source_digest: str, schema: bytes | None, environment: str | None = None) -> str:
    """64 hex digits: SHA-256 over the source, the schema (in any order of members) and the environment.

    The schema is None if it is known only after the environment is built; then the id does not depend on it.
    """
    known = b"" if schema is None else msgspec.json.encode(msgspec.json.decode(schema), order="sorted")
    parts = [source_digest, hashlib.sha256(known).hexdigest(), environment or environment_tag()]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _hashed(relative: str, path: Path, cache: DigestCache) -> HashedFile:
    content = cache.digest(path) if path.is_file() else f"link to {path.readlink()}"
    stat = path.lstat()
    return HashedFile(relative=relative, content=content, changed_at=stat.st_mtime, size=stat.st_size)


def _files(source: ModelSource) -> list[tuple[str, Path]]:
    if source.file is not None:
        return [(source.file.name, source.file)]
    return sorted((str(path.relative_to(source.folder)), path) for path in _walk(source.folder))


def _walk(folder: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(folder):
        here = Path(name)
        linked = [child for child in folders if (here / child).is_symlink()]
        folders[:] = [
            child
            for child in folders
            if child not in _SKIPPED and child not in linked and not (here / child / _ENVIRONMENT_MARK).is_file()
            if (here != folder or child != _RESULTS) and not _is_left_by_pip(child, files)
        ]
        for child in [*files, *linked]:
            path = here / child
            # a socket or a pipe is not a source file; reading it would block forever
            if child not in _SKIPPED and path.suffix != ".pyc" and (path.is_symlink() or path.is_file()):
                yield path


def _is_left_by_pip(folder: str, beside: list[str]) -> bool:
    # installing a local project must not change the version of the model that contains it
    return folder.endswith(".egg-info") or (folder == "build" and any(name in beside for name in _PROJECT))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
