"""Makes file names from outside safe for a folder, a URL and a header."""

import mimetypes
import re
import unicodedata
from functools import cache
from typing import Final
from urllib.parse import unquote, urlsplit

from halley.assets.fields import file_name, read_field

NAME_LIMIT_BYTES: Final = 255
_UNFIT: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
_SPACES: Final = re.compile(r"\s+")
# Cf contains the characters that reverse the direction of text
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,10}", re.ASCII)

# types that mimetypes does not know or names unusually
_SUFFIXES: Final = {
    "application/json": ".json",
    "application/octet-stream": "",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "image/avif": ".avif",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}
_TYPES: Final = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".jsonl": "application/jsonl",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mkv": "video/x-matroska",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".npy": "application/octet-stream",
    ".ogg": "audio/ogg",
    ".safetensors": "application/octet-stream",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def safe_name(text: str, default: str = "file") -> str:
    """Return a name that is one path segment, without separators, control or direction characters, of at most 255
    bytes.

    Never empty, never hidden, never `.` or `..`. Shortening keeps the extension.
    """
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    visible = "".join(c for c in text if unicodedata.category(c) not in _INVISIBLE)
    name = _SPACES.sub(" ", _UNFIT.sub("_", visible)).strip(" .")
    return shortened(name, NAME_LIMIT_BYTES) or default


def shortened(name: str, limit_bytes: int) -> str:
    """Cut a name to a length in bytes of UTF-8, keeping its extension."""
    if len(name.encode()) <= limit_bytes:
        return name
    stem, suffix = split_suffix(name)
    return stem.encode()[: limit_bytes - len(suffix)].decode(errors="ignore").rstrip(" .") + suffix


def split_suffix(name: str) -> tuple[str, str]:
    """Split `a.tar.gz` into `a.tar` and `.gz`; the second is empty if the name has no simple extension."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem and _SUFFIX.fullmatch(dot + suffix) else (name, "")


def distinct(name: str, taken: set[str]) -> str:
    """Return the name, or `name-2`, `name-3` and so on if it is taken, ignoring case; and add it to `taken`."""
    stem, suffix = split_suffix(name)
    fresh = name
    number = 2
    while fresh.casefold() in taken:
        fresh = f"{shortened(stem, NAME_LIMIT_BYTES - len(suffix) - 8)}-{number}{suffix}"
        number += 1
    taken.add(fresh.casefold())
    return fresh


def name_from_url(path: str, default: str = "file") -> str:
    """Return the last segment of a URL's path, decoded and made safe."""
    return safe_name(unquote(urlsplit(path).path.rpartition("/")[2], errors="replace"), default)


def name_from_answer(disposition: str, path: str) -> str:
    """Return the name of an answer by its Content-Disposition, otherwise by its URL. Source: RFC 6266, section 4.3."""
    # some servers omit the disposition type
    given = file_name(read_field(";" + disposition)[1]) or ""
    return safe_name(given, "") or name_from_url(path)


def suffix_for(content_type: str) -> str:
    """Return the usual extension of a media type with its dot, or "" for an unknown type."""
    known = _SUFFIXES.get(content_type)
    return known if known is not None else (_table().guess_extension(content_type, strict=False) or "")


def type_for(name: str) -> str:
    """Guess a media type by the extension; `application/octet-stream` if it is unknown."""
    suffix = split_suffix(name)[1].lower()
    if suffix in _TYPES:
        return _TYPES[suffix]
    content_type, encoding = _table().guess_type(f"x{suffix}", strict=False)
    # a browser does not treat x.svgz as an SVG
    return content_type if content_type and not encoding else "application/octet-stream"


@cache
def _table() -> mimetypes.MimeTypes:
    # Python's own table, not the machine's files: the same name has the same type everywhere
    return mimetypes.MimeTypes()
