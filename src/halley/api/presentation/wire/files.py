"""Uploaded files. Source: contract section 13."""

import msgspec

from halley.api.presentation.wire.values import ListPage, Time


class FileUrls(msgspec.Struct, kw_only=True):
    """One client reads `get` and puts it into inputs. `download` is an extension: a link to the bytes that needs no
    key.
    """

    get: str
    download: str


class Checksums(msgspec.Struct, kw_only=True):
    """Of the file's bytes."""

    sha256: str


class FileBody(msgspec.Struct, kw_only=True):
    """An uploaded file; all members are always present (contract 13.2)."""

    id: str
    name: str
    content_type: str
    size: int
    etag: str
    checksums: Checksums
    metadata: dict[str, str]
    created_at: Time
    expires_at: Time
    urls: FileUrls


class FilePage(ListPage, kw_only=True):
    """A page of files, newest first."""

    results: list[FileBody]


class OutputFileBody(msgspec.Struct, kw_only=True):
    """A file of a prediction's output: an extension."""

    index: int
    name: str
    content_type: str
    size: int
    checksums: Checksums
    url: str  # a link that needs no key; it ends at `url_expires_at`
    url_expires_at: Time
    kept_until: Time | None  # null: not known yet, or without end


class OutputFilePage(ListPage, kw_only=True):
    """A page of them, in the order of the output; there is no previous page."""

    results: list[OutputFileBody]
