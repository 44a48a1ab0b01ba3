"""The files among the strings of an output, by their links."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from halley.web.views.texts import decode_small

_KINDS: Final = {
    "image": frozenset({"png", "jpg", "jpeg", "webp", "gif", "avif", "bmp"}),
    "audio": frozenset({"mp3", "wav", "ogg", "oga", "flac", "m4a", "opus"}),
    "video": frozenset({"mp4", "webm", "mov", "m4v"}),
}
_DEPTH: Final = 8
_LONGEST: Final = 2000  # characters of a link


class MediaFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of ours in an output. `path` has no origin, so a page may show it under any of our addresses."""

    path: str
    name: str
    kind: str  # image, audio, video or other


def kind_of_type(content_type: str) -> str:
    """How a page may show a file of this media type. An SVG may contain scripts: it is a download."""
    kind = content_type.partition("/")[0]
    return kind if kind in _KINDS and not content_type.endswith("+xml") else "other"


def files_in(output: bytes | msgspec.Raw, *, limit: int) -> list[MediaFile]:
    """The first files of ours in an output, in order; none in an output that is too large to be decoded."""
    found = []
    for text in _strings(decode_small(output), _DEPTH):
        file = file_of_link(text)
        if file is not None:
            found.append(file)
            if len(found) == limit:
                break
    return found


def file_of_link(text: str) -> MediaFile | None:
    """The file behind one of our delivery links; None for any other text."""
    if len(text) > _LONGEST or not text.startswith(("http://", "https://")):
        return None
    try:
        path = urlsplit(text).path
    except ValueError:
        return None
    before, mark, rest = path.partition("/d/")
    capability, slash, name = rest.partition("/")
    if not (mark and slash and capability and name) or "/" in name or ".." in before:
        return None
    if "//" in before or "\\" in path:  # at the beginning of a path it would be a link to another host
        return None
    plain = unquote(name)
    ending = plain.rpartition(".")[2].lower()
    kind = next((kind for kind, endings in _KINDS.items() if ending in endings), "other")
    return MediaFile(path=path, name=plain, kind=kind)


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else value.values():
            yield from _strings(item, depth - 1)
