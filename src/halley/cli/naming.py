"""File names for outputs: never a path, never hidden, never equal."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

NAME_BYTES: Final = 150  # file systems allow 255; our own suffixes and numbers need room
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
_SUFFIXES: Final = {"image/jpeg": ".jpg", "image/webp": ".webp", "text/plain": ".txt", "audio/wav": ".wav"}


def name_for(url: str, index: int) -> str:
    """Return a safe file name for an output: the last part of its path, or `output-INDEX` with a suitable suffix."""
    if url.startswith("data:"):
        return f"output-{index}{suffix_for(url[5:].partition(',')[0])}"
    try:
        path = urlsplit(url).path
    except ValueError:  # such as http://[::1
        path = ""
    return safe_name(unquote(PurePosixPath(path).name), fallback=f"output-{index}")


def safe_name(text: str, *, fallback: str) -> str:
    """Turn any text into a plain file name: no separators, control characters, leading dots, device names or Halley's
    own suffixes.
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join("_" if unicodedata.category(c)[0] == "C" or c in '/\\:*?"<>|' else c for c in text)
    text = text.strip(" .")
    stem, dot, ending = text.rpartition(".")
    if not dot or len(ending.encode()) > 20:
        stem, ending = text, ""
    if stem.split(".")[0].lower() in _RESERVED:
        stem = f"_{stem}"
    if f"{stem}.{ending}".lower() == "prediction.json" or ending.lower() in {"part", "meta"}:
        stem, ending = f"{stem}_{ending}", ""
    room = NAME_BYTES - len(ending.encode()) - 1
    stem = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return (f"{stem}.{ending}" if ending else stem) or fallback


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Number names that are equal to an earlier or taken one, ignoring case."""
    used = {name.casefold() for name in taken}
    result = []
    for name in names:
        path = PurePosixPath(name)
        free, number = name, 2
        while free.casefold() in used:
            free, number = f"{path.stem}-{number}{path.suffix}", number + 1
        used.add(free.casefold())
        result.append(free)
    return result


def suffix_for(content_type: str | None) -> str:
    """Return the usual suffix of a media type; "" for an unknown one."""
    kind = (content_type or "").split(";")[0].strip().lower()
    if kind in {"", "application/octet-stream", "binary/octet-stream"}:
        return ""
    suffix = _SUFFIXES.get(kind) or mimetypes.guess_extension(kind) or ""
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else ""
