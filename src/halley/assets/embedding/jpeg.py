"""Notes in JPEG pictures: an XMP segment behind the first ones. Source: XMP specification part 3, section 1.1.3."""

from collections.abc import Iterator
from typing import Final

from halley.assets.embedding.note import NoteTooLarge
from halley.assets.embedding.xmp import packet, text_in

_NAME: Final = b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST: Final = 65_535 - 2 - len(_NAME)
_SEGMENTS: Final = 1024  # more are not looked at
_APP0: Final = 0xE0
_APP1: Final = 0xE1
_SCAN: Final = 0xDA  # image data begins: no more segments are looked at


def is_kind(picture: bytes) -> bool:
    """Whether these bytes begin as a JPEG."""
    return picture.startswith(b"\xff\xd8\xff")


def write(picture: bytes, text: bytes) -> bytes | None:
    """The picture with the text; None if it is broken, or has XMP of its own.

    Raises:
        NoteTooLarge: a segment has 64 KiB at most.
    """
    segments = list(_segments(picture))
    if not segments or segments[-1][0] != _SCAN or _own(picture, segments) is not None:
        return None
    data = packet(text)
    if len(data) > _LONGEST:
        raise NoteTooLarge(f"the input is larger than about {_LONGEST} bytes, the most that a JPEG can carry")
    # behind the JFIF header, which must be the first
    at = segments[0][2] if segments[0][0] == _APP0 else 2
    size = (2 + len(_NAME) + len(data)).to_bytes(2, "big")
    return b"".join((picture[:at], b"\xff\xe1", size, _NAME, data, picture[at:]))


def read(picture: bytes) -> bytes | None:
    """The text in the XMP segment."""
    found = _own(picture, list(_segments(picture)))
    return None if found is None else text_in(found)


def _own(picture: bytes, segments: list[tuple[int, int, int]]) -> bytes | None:
    for kind, start, end in segments:
        if kind == _APP1 and picture.startswith(_NAME, start):
            return picture[start + len(_NAME) : end]
    return None


def _segments(picture: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start of the data and end of each segment up to the image data."""
    at = 2
    for _ in range(_SEGMENTS):
        if len(picture) < at + 4 or picture[at] != 0xFF:
            return
        size = int.from_bytes(picture[at + 2 : at + 4], "big")
        if size < 2 or at + 2 + size > len(picture):
            return
        yield picture[at + 1], at + 4, at + 2 + size
        if picture[at + 1] == _SCAN:
            return
        at += 2 + size
