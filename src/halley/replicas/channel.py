"""One of the two sockets to a replica: length-prefixed frames both ways, without a task of its own.

All frames of one turn of the loop leave in one write; whatever one read brings is handed on at once.
"""

import asyncio
import socket
from collections.abc import Callable
from struct import Struct
from typing import Final

from halley.errors import TooLarge

FRAME_LIMIT_BYTES: Final = 64 * 2**20  # both sides refuse more: a broken length must not ask for gigabytes
READ_BYTES: Final = 256 * 2**10

_LENGTH: Final = Struct("<I")


class Channel:
    """Owns the socket. `take` gets each frame's body; `ended` is called once, with what was wrong if anything was."""

    def __init__(
        self, sock: socket.socket, *, take: Callable[[bytes], None], ended: Callable[[str | None], None]
    ) -> None:
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._take = take
        self._ended = ended
        self._open = True
        self._rest = bytearray()
        self._needed = 0  # bytes of `_rest` that make the first frame whole
        self._waiting: list[bytes] = []
        self._unsent = memoryview(b"")
        self._loop.add_reader(sock.fileno(), self._read)

    def send(self, body: bytes) -> None:
        """Queue a frame for the end of this turn of the loop. A dead peer is not noticed here.

        Raises:
            TooLarge: nothing was queued.
        """
        if len(body) > FRAME_LIMIT_BYTES:
            raise TooLarge(f"A message of {len(body):,} bytes is over the limit of {FRAME_LIMIT_BYTES:,}; use files.")
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting += (_LENGTH.pack(len(body)), body)

    def drain(self) -> None:
        """Take what has arrived and was not read yet: the last words of a process that is gone."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        """Let go of the socket; `ended` is not called."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()

    def _read(self) -> bool:
        try:
            piece = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # reset: the process died with our words unread
            piece = b""
        if not piece:
            self._end(None)
            return False
        if self._rest:
            self._rest += piece
            if len(self._rest) < self._needed:
                return True
            whole, self._rest = self._rest, bytearray()
            self._split(whole)
            return True
        self._split(piece)
        return True

    def _split(self, piece: bytes | bytearray) -> None:
        with memoryview(piece) as view:  # a large frame is copied once
            self._take_all(view)

    def _take_all(self, piece: memoryview) -> None:
        start, size, end = 0, len(piece), 0
        while size - start >= 4:
            (length,) = _LENGTH.unpack_from(piece, start)
            end = start + 4 + length
            if length > FRAME_LIMIT_BYTES:
                self._end(f"it sent a message of {length:,} bytes; the limit is {FRAME_LIMIT_BYTES:,}")
                return
            if end > size:
                break
            try:
                self._take(bytes(piece[start + 4 : end]))
            except ValueError as error:
                self._end(f"it sent something that is not protocol: {error}")
                return
            start = end
        if start < size:
            self._rest = bytearray(piece[start:])
            self._needed = end - start if size - start >= 4 else 4

    def _end(self, fault: str | None) -> None:
        if self._open:
            self.close()
            self._ended(fault)

    def _flush(self) -> None:
        if not self._open or self._unsent:
            return  # `_push` takes what waits when the socket has room again
        self._unsent = memoryview(b"".join(self._waiting))
        self._waiting.clear()
        self._push()

    def _push(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:  # whoever watches the process says why it is gone
            self._unsent = memoryview(b"")
            self._waiting.clear()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._sock.fileno(), self._push)
            return
        self._loop.remove_writer(self._sock.fileno())
        if self._waiting:
            self._flush()
