"""Frames of protocol v1: four bytes of little-endian length, then one JSON object in UTF-8."""

from __future__ import annotations

import json
import json.encoder
import socket
import struct
from typing import Any, Callable, Dict, List, Optional

FRAME_LIMIT_BYTES = 64 * 2**20  # both sides refuse larger frames, so that a corrupt length does not allocate gigabytes
READ_BYTES = 64 * 2**10

_LENGTH = struct.Struct("<I")

Frame = Dict[str, Any]

to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Compact JSON. Raises ValueError for NaN, infinity and cycles, TypeError for what JSON cannot express."""

text_to_json: Callable[[str], str] = json.encoder.encode_basestring
"""`to_json` of a text, without its other cases."""

_read_json = json.JSONDecoder().raw_decode  # `json.loads` would look for the encoding each time


class FrameTooLarge(Exception):
    """A frame would be over the limit; nothing was sent."""


def pack(text: str) -> bytes:
    """One frame around JSON text. An unpaired surrogate becomes U+FFFD.

    Raises:
        FrameTooLarge: the frame would be over 64 MiB.
    """
    try:
        body = text.encode()
    except UnicodeEncodeError:
        body = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    if len(body) > FRAME_LIMIT_BYTES:
        raise FrameTooLarge("%d bytes are over the limit of %d for one message" % (len(body), FRAME_LIMIT_BYTES))
    return _LENGTH.pack(len(body)) + body


class Inbox:
    """Reads frames from one socket; keeps an incomplete frame between reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._receive_bytes = sock.recv
        self._rest = b""
        self._ready: List[Frame] = []

    def read(self) -> Optional[Frame]:
        """The next frame; blocks until it is there. None at the end of the stream."""
        while not self._ready:
            if not self._receive():
                return None
        return self._ready.pop(0)

    def read_ready(self) -> Optional[List[Frame]]:
        """All complete frames of one read, perhaps none; call it when the socket is readable.

        None at the end of the stream.
        """
        if not self._receive():
            return None
        ready, self._ready = self._ready, []
        return ready

    def _receive(self) -> bool:
        try:
            piece = self._receive_bytes(READ_BYTES)
        except OSError:  # reset by a parent that died
            piece = b""
        if not piece:
            return False
        if self._rest:
            piece = self._complete(self._rest + piece)
            if not piece:
                return False
        start, end = 0, len(piece)
        while end - start >= 4:
            (size,) = _LENGTH.unpack_from(piece, start)
            if size > FRAME_LIMIT_BYTES:
                return False  # not our protocol; the caller exits as at the end of the stream
            if end - start - 4 < size:
                break
            self._ready.append(_read_json(piece[start + 4 : start + 4 + size].decode("utf-8", "surrogatepass"))[0])
            start += 4 + size
        self._rest = piece[start:]
        return True

    def _complete(self, piece: bytes) -> bytes:
        """Read until the first frame is complete, into one growing buffer: a large frame arrives in many pieces."""
        buffer = bytearray(piece)
        while len(buffer) >= 4:
            (size,) = _LENGTH.unpack_from(buffer)
            missing = size + 4 - len(buffer)
            if missing <= 0 or size > FRAME_LIMIT_BYTES:
                break
            more = self._receive_bytes(min(missing, 2**20))
            if not more:
                return b""
            buffer += more
        return bytes(buffer)
