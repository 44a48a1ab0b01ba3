"""Notes in WebP pictures: an XMP chunk at the end. A simple file becomes an extended one, with the same image data.

Source: WebP container specification (RFC 9649, section 2.7); VP8 frame header (RFC 6386, section 9.1).
"""

from collections.abc import Iterator
from typing import Final

from halley.assets.embedding.xmp import packet, text_in

_CHUNKS: Final = 4096  # of an animation; more are not looked at
_XMP_FLAG: Final = 0x04
_ALPHA_FLAG: Final = 0x10
_HEAD: Final = 12  # RIFF, size, WEBP
_LONGEST: Final = 2**32 - 10


def is_kind(picture: bytes) -> bool:
    """Whether these bytes begin as a WebP."""
    return picture[:4] == b"RIFF" and picture[8:12] == b"WEBP"


def write(picture: bytes, text: bytes) -> bytes | None:
    """The picture with the text; None if it is broken, or has XMP of its own."""
    chunks = list(_chunks(picture))
    if not is_kind(picture) or not chunks:
        return None
    end = chunks[-1][2]
    extended = _extended(picture, chunks)
    if extended is None or any(name == b"XMP " for name, _, _ in chunks):
        return None
    head, start = extended
    note = _chunk(b"XMP ", packet(text))
    size = 4 + len(head) + end - start + len(note)
    if size > _LONGEST:
        return None
    return b"".join((b"RIFF", size.to_bytes(4, "little"), b"WEBP", head, picture[start:end], note))


def read(picture: bytes) -> bytes | None:
    """The text in the XMP chunk."""
    for name, start, end in _chunks(picture):
        if name == b"XMP ":
            return text_in(picture[start + 8 : end])
    return None


def _chunks(picture: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end (with padding) of each chunk, as far as they are whole."""
    at = _HEAD
    for _ in range(_CHUNKS):
        size = int.from_bytes(picture[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        # some writers leave out the padding of the last chunk
        if at + 8 > len(picture) or end - size % 2 > len(picture):
            return
        yield picture[at : at + 4], at, min(end, len(picture))
        at = end


def _extended(picture: bytes, chunks: list[tuple[bytes, int, int]]) -> tuple[bytes, int] | None:
    """The header chunk of an extended file that announces XMP, and where the rest begins."""
    name, start, end = chunks[0]
    if name == b"VP8X" and end - start == 18:
        flags = picture[start + 8] | _XMP_FLAG
        return b"".join((picture[start : start + 8], bytes((flags,)), picture[start + 9 : end])), end
    found = _size(name, picture[start + 8 : start + 18])
    if found is None:
        return None
    wide, high, flags = found
    sides = (wide - 1).to_bytes(3, "little") + (high - 1).to_bytes(3, "little")
    return _chunk(b"VP8X", bytes((flags | _XMP_FLAG, 0, 0, 0)) + sides), start


def _size(name: bytes, head: bytes) -> tuple[int, int, int] | None:
    """Width, height and flags of an image chunk."""
    if name == b"VP8 " and len(head) == 10 and head[3:6] == b"\x9d\x01\x2a":
        wide, high = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return (wide, high, 0) if wide and high else None
    if name == b"VP8L" and len(head) >= 5 and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, _ALPHA_FLAG if bits >> 28 & 1 else 0
    return None


def _chunk(name: bytes, data: bytes) -> bytes:
    return b"".join((name, len(data).to_bytes(4, "little"), data, b"\0" * (len(data) % 2)))
