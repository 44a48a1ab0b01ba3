"""Notes in PNG pictures: an uncompressed `iTXt` chunk after the header. Source: PNG (third edition), 5 and 11.3.3.4."""

import zlib
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER_END: Final = 8 + 25  # the signature, and IHDR with its length, name and CRC
_KEYWORD: Final = b"halley\0\0\0\0\0"  # keyword, not compressed, no method, no language, no translated keyword
_CHUNKS: Final = 4096  # more are not looked at


def is_kind(picture: bytes) -> bool:
    """Whether these bytes begin as a PNG."""
    return picture.startswith(_SIGNATURE)


def write(picture: bytes, text: bytes) -> bytes | None:
    """The picture with the text; None if it is broken."""
    if not is_kind(picture) or picture[8:16] != b"\0\0\0\x0dIHDR" or len(picture) < _HEADER_END:
        return None
    body = b"iTXt" + _KEYWORD + text
    chunk = b"".join((len(body[4:]).to_bytes(4, "big"), body, zlib.crc32(body).to_bytes(4, "big")))
    return b"".join((picture[:_HEADER_END], chunk, picture[_HEADER_END:]))


def read(picture: bytes) -> bytes | None:
    """The text of the first chunk of ours."""
    for start, size in _chunks(picture):
        if picture[start : start + 4] != b"iTXt" or not picture.startswith(_KEYWORD, start + 4):
            continue
        end = start + 4 + size
        if zlib.crc32(memoryview(picture)[start:end]).to_bytes(4, "big") == picture[end : end + 4]:
            return picture[start + 4 + len(_KEYWORD) : end]
    return None


def _chunks(picture: bytes) -> Iterator[tuple[int, int]]:
    """Where the name of each chunk begins, and the size of its data."""
    at = len(_SIGNATURE)
    for _ in range(_CHUNKS):
        size = int.from_bytes(picture[at : at + 4], "big")
        if at + 12 + size > len(picture):
            return
        yield at + 4, size
        at += 12 + size
