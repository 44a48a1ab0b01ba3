"""Blobs in memory, for tests: they are lost when the process ends."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from anyio import to_thread

from halley.assets.disk import pieces
from halley.assets.ports import BlobInfo
from halley.errors import NotFound, TooLarge

_CHUNK_BYTES = 2**20


class MemoryBlobs:
    """`Blobs` in a dictionary. Nothing is stored durably; `path` and `descriptor` are always None."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    async def put(self, chunks: AsyncIterator[bytes], limit_bytes: int) -> BlobInfo:
        held = bytearray()
        async for chunk in chunks:
            held += chunk
            if len(held) > limit_bytes:
                raise TooLarge(f"The data is longer than the limit of {limit_bytes} bytes.")
        return self._keep(bytes(held))

    async def adopt(self, path: Path, *, take: bool = False, source: int | None = None) -> BlobInfo:  # noqa: ARG002
        if source is not None:  # `take` has no effect: there is no file to share
            return self._keep(await to_thread.run_sync(lambda: b"".join(pieces(source))))
        return self._keep(await to_thread.run_sync(_read, path))

    def drafts(self) -> Path | None:
        return None

    async def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        held = self._bytes.get(sha256)
        if held is None:
            raise NotFound(f"There are no stored bytes with SHA-256 {sha256[:64]!r}.")
        stop = len(held) if end is None else min(end, len(held))
        for at in range(start, stop, _CHUNK_BYTES):
            yield held[at : min(at + _CHUNK_BYTES, stop)]

    def path(self, sha256: str) -> Path | None:  # noqa: ARG002 - memory has no files
        return None

    def descriptor(self, sha256: str) -> int | None:  # noqa: ARG002
        return None

    async def delete(self, sha256: str) -> None:
        self._bytes.pop(sha256, None)

    async def exists(self, sha256: str) -> bool:
        return sha256 in self._bytes

    async def stored(self, after: str, limit: int, older_than_seconds: float) -> list[str]:
        if older_than_seconds > 0:
            return []  # no blob here is older than this process
        return [name for name in sorted(self._bytes) if name > after][:limit]

    def _keep(self, data: bytes) -> BlobInfo:
        sha256 = hashlib.sha256(data).hexdigest()
        self._bytes[sha256] = data
        return BlobInfo(sha256=sha256, size_bytes=len(data))


def _read(path: Path) -> bytes:
    if not path.is_file() or path.is_symlink():
        raise OSError(22, "not a regular file", str(path))
    return path.read_bytes()
