"""Uploaded files in a dictionary."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from halley.assets.ports import StoredFile


class MemoryFiles:
    """Implements `assets.ports.FileStore`."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    async def insert(self, file: StoredFile) -> None:
        self._files[file.id] = file

    async def get(self, file_id: str) -> StoredFile | None:
        return self._files.get(file_id)

    async def list(self, account_id: str, before: str | None, limit: int) -> Sequence[StoredFile]:
        found = [
            file
            for file in self._files.values()
            if file.account_id == account_id and (before is None or file.id < before)
        ]
        return sorted(found, key=lambda file: file.id, reverse=True)[:limit]

    async def delete(self, file_id: str) -> bool:
        return self._files.pop(file_id, None) is not None

    async def prolong(self, file_id: str, until: datetime) -> None:
        if (file := self._files.get(file_id)) is not None:
            self._files[file_id] = msgspec.structs.replace(file, expires_at=max(file.expires_at, until))

    async def expired(self, at: datetime, limit: int | None) -> Sequence[StoredFile]:
        found = [file for file in self._files.values() if file.expires_at <= at]
        return sorted(found, key=lambda file: (file.expires_at, file.id))[:limit]
