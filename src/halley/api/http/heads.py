"""The head of an answer as bytes, for what goes past uvicorn's own way of sending."""

from collections.abc import Iterable
from typing import Final

_FIT: Final = bytes(byte for byte in range(256) if byte in b"\t\r\n" or (byte >= 0x20 and byte != 0x7F))


def head_of(status_line: bytes, headers: Iterable[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """Join the head of an answer.

    Raises:
        ValueError: a line break or another control character in a header.
    """
    lines = [b"%b: %b\r\n" % pair for pair in headers]
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    head = b"".join([status_line, *lines])
    breaks = len(lines) + 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or head.translate(None, _FIT):
        raise ValueError("a header holds a line break or a control character")
    return head + b"\r\n"
