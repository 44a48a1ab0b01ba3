"""The files of an output, as the page of a prediction lists them."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from halley.web.views.durations import size_in_words
from halley.web.views.media import kind_of_type

_CARRYING: Final = frozenset({"image/png", "image/webp", "image/jpeg"})
_CARRYING_BYTES: Final = 32 * 2**20


class FileChecksums(msgspec.Struct, frozen=True, kw_only=True):
    sha256: str


class ListedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the API's list."""

    index: int
    name: str
    content_type: str
    size: int
    checksums: FileChecksums
    url: str
    url_expires_at: str
    kept_until: str | None = None

    @property
    def path(self) -> str:
        """Its link without an origin: a page may only load files from its own."""
        return urlsplit(self.url).path

    @property
    def kind(self) -> str:
        """image, audio, video or other."""
        return kind_of_type(self.content_type)

    @property
    def size_words(self) -> str:
        return size_in_words(self.size)

    @property
    def can_carry_input(self) -> bool:
        """Whether it can be downloaded with its input inside."""
        return self.content_type in _CARRYING and self.size <= _CARRYING_BYTES


class ListedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A page of that list."""

    results: Sequence[ListedFile]
    next: str | None = None


read_output_files: Final = msgspec.json.Decoder(ListedFiles).decode
