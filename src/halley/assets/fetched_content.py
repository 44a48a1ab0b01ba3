"""Whether a fetched file can be what its name says: services answer with pages and messages where a file has gone."""

from typing import Final

from halley.assets.media import HEAD_BYTES
from halley.assets.names import type_for
from halley.assets.ports import Fetched

_SHOWN: Final = ("image/", "audio/", "video/")
_SVG: Final = "image/svg+xml"
_MESSAGES: Final = frozenset(
    {"text/html", "application/json", "application/problem+json", "application/xml", "text/xml"}
)
_PAGES: Final = (b"<!doctype html", b"<html")
_MARKUP: Final = (b"<?xml", b"<error", b"{")


def content_fault(name: str, fetched: Fetched) -> str | None:
    """What is wrong with the file, in words that continue "and"; None if it may be right. Reads its first bytes."""
    kind = type_for(name)
    if not fetched.size_bytes:
        return None if may_be_empty(fetched) else "its host sent an empty file"
    if not kind.startswith(_SHOWN):
        return None
    if fetched.content_type in _MESSAGES and not (kind == _SVG and "xml" in fetched.content_type):
        return f"its host sent a page or a message ({fetched.content_type}) instead"
    with fetched.path.open("rb") as file:
        head = file.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(_PAGES) or (kind != _SVG and head.startswith(_MARKUP)):
        return "its host sent a page or a message instead"
    return None


def may_be_empty(fetched: Fetched) -> bool:
    """Whether a file of this name and type may have no bytes: only a text may."""
    return type_for(fetched.file_name).startswith("text/") or fetched.content_type == "text/plain"
