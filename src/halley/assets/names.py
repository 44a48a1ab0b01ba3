"""File names that came from outside, made fit for a folder, a URL and a header."""

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
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Cf holds the marks that turn text round
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,10}", re.ASCII)

# what mimetypes does not know or spells oddly
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
    """Give a name that is one path segment, without separators, controls or turning marks, of at most 255 bytes.

    Never empty, never hidden, never `.` or `..`. The extension survives shortening.
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
    """Split `a.tar.gz` into `a.tar` and `.gz`; the second is empty where the name has no plain extension."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem and _SUFFIX.fullmatch(dot + suffix) else (name, "")


def distinct(name: str, taken: set[str]) -> str:
    """Give the name, or `name-2`, `name-3` and so on when it is taken, ignoring case; and note it as taken."""
    stem, suffix = split_suffix(name)
    fresh = name
    number = 2
    while fresh.casefold() in taken:
        fresh = f"{shortened(stem, NAME_LIMIT_BYTES - len(suffix) - 8)}-{number}{suffix}"
        number += 1
    taken.add(fresh.casefold())
    return fresh


def name_from_url(path: str, default: str = "file") -> str:
    """Give the last segment of a URL's path, decoded and made safe."""
    return safe_name(unquote(urlsplit(path).path.rpartition("/")[2], errors="replace"), default)


def name_from_answer(disposition: str, path: str) -> str:
    """Give the name that an answer has by its Content-Disposition, else by its URL. Source: RFC 6266, section 4.3."""
    # some servers leave the word in front out
    given = file_name(read_field(";" + disposition)[1]) or ""
    return safe_name(given, "") or name_from_url(path)


def suffix_for(content_type: str) -> str:
    """Give the usual extension of a media type with its dot, or "" for an unknown one."""
    known = _SUFFIXES.get(content_type)
    return known if known is not None else (_table().guess_extension(content_type, strict=False) or "")


def type_for(name: str) -> str:
    """Guess a media type by the extension; `application/octet-stream` if it is unknown."""
    suffix = split_suffix(name)[1].lower()
    if suffix in _TYPES:
        return _TYPES[suffix]
    content_type, encoding = _table().guess_type(f"x{suffix}", strict=False)
    # x.svgz is not an SVG as far as a browser is concerned
    return content_type if content_type and not encoding else "application/octet-stream"


@cache
def _table() -> mimetypes.MimeTypes:
    # the language's own table, not the machine's files: the same name means the same type everywhere
    return mimetypes.MimeTypes()
