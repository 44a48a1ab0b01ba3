"""Which ids that a model's own files made are the present source."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import pytest

from halley.models.records import Version
from halley.replicas.digest import DigestCache, source_digest
from halley.replicas.earlier_versions import earlier_versions
from halley.replicas.loading import load_source

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA: Final = b'{"openapi":"3.0.2"}'


class Author:
    """A model folder over the hours, and the versions that an earlier release stored of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hour = 0
        self.stored: list[Version] = []
        self.write("run.py", "def run() -> str: return 'x'")

    def write(self, name: str, text: str) -> None:
        self.hour += 1
        (self.folder / name).write_text(text)
        at = (BEGIN + timedelta(hours=self.hour)).timestamp()
        os.utime(self.folder / name, (at, at))

    def start(self) -> str:
        """The earlier release starts: what lies there makes a version."""
        self.hour += 1
        self.stored.append(self.version(f"v{len(self.stored)}", counts_written=True))
        return self.stored[-1].id

    def version(self, name: str, *, counts_written: bool = False) -> Version:
        return Version(
            id=name,
            model="a/m",
            created_at=BEGIN + timedelta(hours=self.hour),
            openapi_schema=SCHEMA,
            source_digest=source_digest(load_source(self.folder)),
            counts_written=counts_written,
        )

    def earlier(self) -> list[str]:
        current = self.version("now")
        found = earlier_versions(load_source(self.folder), current, self.stored, DigestCache())
        return sorted(version.id for version in found)


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


def test_files_that_came_later_make_no_other_source(author: Author) -> None:
    author.start()
    author.write("app.log", "one")
    author.start()
    author.write("app.log", "one two")
    author.write("weights.bin", "w")
    author.start()
    assert author.earlier() == ["v0", "v1", "v2"]


def test_other_code_is_another_source(author: Author) -> None:
    author.start()
    author.write("run.py", "def run() -> str: return 'y'")
    assert author.earlier() == []


def test_only_versions_since_the_code_changed_count(author: Author) -> None:
    author.start()
    author.write("app.log", "one")
    author.write("run.py", "def run() -> str: return 'y'")
    author.start()
    author.write("app.log", "one two")
    author.start()
    author.write("app.log", "one two three")
    assert author.earlier() == ["v1", "v2"]


def test_another_schema_is_another_source(author: Author) -> None:
    author.write("app.log", "one")
    author.start()
    author.stored = [msgspec.structs.replace(version, openapi_schema=b"{}") for version in author.stored]
    author.write("app.log", "one two")
    assert author.earlier() == []


def test_versions_that_count_only_what_the_author_wrote_are_left_alone(author: Author) -> None:
    author.start()
    author.stored = [msgspec.structs.replace(version, counts_written=False) for version in author.stored]
    author.write("notes.txt", "by the author")
    assert author.earlier() == []
