"""Writes an output to its destination: a file, a folder, standard output, a device, a pipe or a link."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from halley.assets.media import HEAD_BYTES, OCTETS, media_type
from halley.assets.names import type_for
from halley.cli.downloading import Downloads, Stored, forget, write_whole
from halley.cli.failures import NotSaved, UsageProblem
from halley.cli.screen import Screen, human_bytes

STDOUT: Final = Path("-")
_STREAM_FOLDERS: Final = ("/dev/", "/proc/")


def read_place(text: str | None, option: str) -> Path | None:
    """Read the destination of an output; a path that ends with a slash is a folder, which is created.

    Raises:
        UsageProblem: the text is empty, or the folder cannot be made.
    """
    if text is None:
        return None
    if not text.strip():
        raise UsageProblem(f"{option} names no file.", hint="Leave it out, or name a file or a folder.")
    path = Path(text) if text.startswith("/dev/") else Path(text).expanduser()
    if text.endswith("/") and not path.is_dir():
        check_place(path, is_folder=True)
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_place(path: Path | None, *, is_folder: bool) -> None:
    """Check that an output can be written to `path`, before anything is run.

    Raises:
        UsageProblem: it cannot be written.
    """
    if path is None or (path == STDOUT and not is_folder):
        return
    if is_folder and path.exists() and not path.is_dir():
        raise UsageProblem(f"{path} is a file, not a folder.", hint="Give a folder.")
    if path.exists() and not path.is_dir() and not os.access(path, os.W_OK):
        raise UsageProblem(f"{path} cannot be written: it is write-protected.", hint="Choose another place.")
    if not is_folder and is_stream(path):
        return
    path = path.resolve() if path.is_symlink() else path
    folder = path if is_folder or path.is_dir() else path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageProblem(
            f"{path} cannot be written: {folder} is {'not writable' if folder.is_dir() else 'not a folder'}.",
            hint="Choose another place.",
        )


def is_stream(path: Path) -> bool:
    """Whether a destination is not a regular file: standard output, a device, a pipe, a socket."""
    if path == STDOUT or str(path.absolute()).startswith(_STREAM_FOLDERS):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_standard_output(path: Path) -> bool:
    """Whether the output goes to the command's standard output."""
    return path == STDOUT or str(path) in {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}


def put_bytes(screen: Screen, data: bytes, path: Path) -> None:
    """Store bytes at `path`, and report it."""
    if is_stream(path):
        with _opened(screen, path) as write:
            write(data)
        return
    path = _target_of(path)
    with _kept_mode(path) as replaced:
        write_whole(path, data)
    _say_saved(screen, path, len(data), replaced=replaced)


def put_file(screen: Screen, downloads: Downloads, url: str, path: Path, *, key: str) -> Stored:
    """Fetch the file at `url` to `path`, and report it; `key` identifies it, to continue later.

    Raises:
        NotSaved: it could not be fetched or written.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory(prefix="halley-") as folder:
            stored = downloads.fetch(url, Path(folder) / "output", key=key)
            with _opened(screen, path) as write, (Path(folder) / "output").open("rb") as file:
                while chunk := file.read(1 << 16):
                    write(chunk)
        return stored
    path = _target_of(path)
    with _kept_mode(path) as replaced:
        stored = downloads.fetch(url, path, key=key)
        forget(path)
    _say_saved(screen, path, stored.size, replaced=replaced)
    note_misnamed(screen, path, stored.content_type)
    return stored


def note_misnamed(screen: Screen, path: Path, content_type: str | None) -> None:
    """Report that a file's content is not of the type that its name suggests."""
    named = type_for(path.name)
    if not named.startswith(("image/", "audio/", "video/")) or named in {"image/svg+xml", "image/heic", "image/heif"}:
        return
    with path.open("rb") as file:
        actual = media_type(path.name, file.read(HEAD_BYTES))
    if actual == OCTETS:
        declared = (content_type or "").partition(";")[0].strip()
        actual = declared if declared.startswith("text/") or declared == "application/json" else OCTETS
    if actual not in {named, OCTETS}:
        screen.note(f"  note: {path.name} has {actual} data, not {named}")


def _say_saved(screen: Screen, path: Path, size: int, *, replaced: bool) -> None:
    screen.note(f"  saved {path} ({human_bytes(size)}){', replacing the file that was there' if replaced else ''}")


def _target_of(path: Path) -> Path:
    # the target of a link is written; the link itself stays
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def _kept_mode(path: Path) -> Iterator[bool]:
    """Yield whether a file is replaced; the new one gets its permissions."""
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    yield mode is not None
    if mode is not None:
        path.chmod(mode)


class _Writes:
    """Writes bytes to a descriptor or to standard output."""

    def __init__(self, screen: Screen, descriptor: int | None) -> None:
        self._screen = screen
        self._descriptor = descriptor

    def __call__(self, data: bytes) -> None:
        if self._descriptor is None:
            self._screen.out_bytes(data)
            return
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]


@contextmanager
def _opened(screen: Screen, path: Path) -> Iterator[_Writes]:
    if path == STDOUT:
        yield _Writes(screen, None)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | (os.O_APPEND if str(path) in _STANDARD else 0))
    except OSError as error:
        raise NotSaved(f"{path} cannot be written: {error.strerror}.", hint="Choose another place.") from error
    try:
        yield _Writes(screen, descriptor)
    finally:
        os.close(descriptor)


_STANDARD: Final = frozenset({"/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2"})
