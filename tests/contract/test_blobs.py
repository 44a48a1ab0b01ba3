"""Every kind of blobs keeps the promises of the port."""

from pathlib import Path

import pytest

from halley.blobs.files import FileBlobs
from halley.blobs.memory import MemoryBlobs
from halley.testing.blobs import BlobsContract, FullBlobs


class TestFileBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FileBlobs:
        return FileBlobs(tmp_path / "blobs")


class TestMemoryBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self) -> MemoryBlobs:
        return MemoryBlobs()


class TestFullBlobsWithRoom(BlobsContract):
    @pytest.fixture
    def blobs(self) -> FullBlobs:
        return FullBlobs(MemoryBlobs())
