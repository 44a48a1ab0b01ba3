"""Doubles of what the room of files needs: records of uploads, a door out that leads nowhere."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import anyio

from halley.assets.ports import Fetched, StoredFile
from halley.errors import AddressRefused, FetchFailed, HalleyError, TooLarge


class MemoryFileStore:
    """`assets.ports.FileStore` in a dictionary. Nothing survives."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    async def insert(self, file: StoredFile) -> None:
        self._files[file.id] = file

    async def get(self, file_id: str) -> StoredFile | None:
        return self._files.get(file_id)

    async def list(self, account_id: str, before: str | None, limit: int) -> Sequence[StoredFile]:
        own = [file for file in self._files.values() if file.account_id == account_id]
        below = [file for file in own if before is None or file.id < before]
        return sorted(below, key=lambda file: file.id, reverse=True)[:limit]

    async def delete(self, file_id: str) -> bool:
        return self._files.pop(file_id, None) is not None

    async def expired(self, at: datetime, limit: int) -> Sequence[StoredFile]:
        over = [file for file in self._files.values() if file.expires_at <= at]
        return sorted(over, key=lambda file: file.expires_at)[:limit]


class FakeFetch:
    """`assets.ports.Fetch` that gives what a test put behind each URL, and remembers what was asked for.

    Put bytes, with a media type if you like, or an error to raise. Unknown URLs fail like a dead host; URLs on
    loopback are refused like in a server without allow-list.
    """

    def __init__(self) -> None:
        self.behind: dict[str, bytes | tuple[bytes, str] | HalleyError] = {}
        self.asked: list[str] = []

    def check_url(self, url: str) -> None:
        if "//127.0.0.1" in url or "//localhost" in url:
            raise AddressRefused("The address 127.0.0.1 is not reachable from here (loopback).")

    async def fetch(self, url: str, *, to: Path, limit_bytes: int, deadline_seconds: float) -> Fetched:  # noqa: ARG002
        self.check_url(url)
        self.asked.append(url)
        found = self.behind.get(url, FetchFailed(f"{url} could not be reached: it is not in this test."))
        if isinstance(found, HalleyError):
            raise found
        body, content_type = found if isinstance(found, tuple) else (found, "")
        if len(body) > limit_bytes:
            raise TooLarge(f"{url} is larger than the limit of {limit_bytes} bytes.")
        await anyio.Path(to).write_bytes(body)
        name = url.partition("?")[0].rpartition("/")[2] or "file"
        return Fetched(path=to, content_type=content_type, size_bytes=len(body), file_name=name)
