"""Local copies of stored bytes, in a folder where a model may change them."""

import os
from contextlib import aclosing
from pathlib import Path

from anyio import to_thread

from halley.assets.disk import copy_bytes, reporting_full_disk, write_all
from halley.assets.ports import Blobs
from halley.threads import run_to_completion


async def copy_out(blobs: Blobs, sha256: str, to: Path) -> None:
    """Copy stored bytes into the new file `to`. Never a link: the model may write to it, and must not change the store.

    Raises:
        NotFound: the bytes are not stored.
        StorageFull: no room.
    """
    source = blobs.path(sha256)
    if source is not None:
        await to_thread.run_sync(_copy_file, source, to)
        return
    async with aclosing(blobs.open(sha256)) as chunks:
        fd = await run_to_completion(_create, to, undo=os.close)
        try:
            async for chunk in chunks:
                await run_to_completion(write_all, fd, chunk)
        finally:
            os.close(fd)


def write_new(path: Path, data: bytes) -> None:
    """Write a new file.

    Raises:
        StorageFull: no room.
    """
    fd = _create(path)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def _copy_file(source: Path, to: Path) -> None:
    target = _create(to)
    try:
        with source.open("rb") as opened:
            copy_bytes(opened.fileno(), target, os.fstat(opened.fileno()).st_size)
    finally:
        os.close(target)


def _create(path: Path) -> int:
    with reporting_full_disk():
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
