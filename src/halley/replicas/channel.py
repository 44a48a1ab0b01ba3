"""One of the two sockets to a replica: length-prefixed frames in both directions, without its own task.

All small frames of one loop cycle are sent in one write; all data of one read is processed at once. A large frame is
read into and written from its own buffer, without further copies.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from mmap import mmap
from struct import Struct
from typing import Final

from halley.errors import TooLarge

# both sides refuse larger frames, so that a corrupt length does not allocate gigabytes
FRAME_LIMIT_BYTES: Final = 64 * 2**20
READ_BYTES: Final = 256 * 2**10  # larger frames get their own buffer

Body = bytes | bytearray  # of a frame; a large one is the bytearray into which it was read

_LENGTH: Final = Struct("<I")


class Channel:
    """Owns the socket. `take` gets the bodies of the frames of a read, in order; `ended` is called once, with the error
    if there was one.
    """

    def __init__(
        self, sock: socket.socket, *, take: Callable[[Sequence[Body]], None], ended: Callable[[str | None], None]
    ) -> None:
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._take = take
        self._ended = ended
        self._open = True
        # `recv` would make a new one for each read, which the allocator takes from the system and gives back. Pages
        # that were never filled take no memory.
        self._buffer = memoryview(mmap(-1, READ_BYTES))
        self._rest = bytearray()
        self._needed = 0  # length in `_rest` of the first incomplete frame
        self._large: bytearray | None = None  # the body of a large frame that is arriving
        self._filled = 0  # bytes of it that have arrived
        self._waiting: list[bytes] = []
        self._joins = True  # all queued frames are small
        self._unsent: deque[memoryview] = deque()
        self._is_blocked = False  # the loop calls `_push` when the socket has room
        self._loop.add_reader(sock.fileno(), self._read)

    def send(self, *pieces: bytes) -> None:
        """Queue a frame, given in one or more pieces, to be sent at the end of this loop cycle.

        A dead peer does not raise an error here.

        Raises:
            TooLarge: nothing was queued.
        """
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if size > FRAME_LIMIT_BYTES:
            raise TooLarge(f"A message of {size:,} bytes is over the limit of {FRAME_LIMIT_BYTES:,}; use files.")
        if not self._waiting:
            self._loop.call_soon(self._flush)
        if size > READ_BYTES:
            self._joins = False
        self._waiting += (_LENGTH.pack(size), *pieces)

    def drain(self) -> None:
        """Read what has arrived and was not read yet: the last frames of a process that has ended."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        """Close the socket; `ended` is not called."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()

    def _read(self) -> bool:
        if self._large is not None:
            return self._read_large(self._large)
        try:
            piece = bytes(self._buffer[: self._sock.recv_into(self._buffer)])
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # reset: the process died before it read what we sent
            piece = b""
        if not piece:
            self._end(None)
            return False
        if self._rest:
            self._rest += piece
            if len(self._rest) < self._needed:
                return True
            whole, self._rest = bytes(self._rest), bytearray()
            self._split(whole)
            return True
        self._split(piece)
        return True

    def _read_large(self, body: bytearray) -> bool:
        try:
            count = self._sock.recv_into(memoryview(body)[self._filled :])
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            count = 0
        if not count:
            self._end(None)
            return False
        self._filled += count
        if self._filled == len(body):
            self._large = None
            self._hand_on([body])
        return True

    def _split(self, piece: bytes) -> None:
        bodies: list[Body] = []
        start, size, end = 0, len(piece), 0
        while size - start >= 4:
            (length,) = _LENGTH.unpack_from(piece, start)
            end = start + 4 + length
            if end > size:
                break
            bodies.append(piece[start + 4 : end])
            start = end
        if (bodies and not self._hand_on(bodies)) or start == size:
            return
        if size - start >= 4 and end - start - 4 > FRAME_LIMIT_BYTES:
            self._end(f"it sent a message of {end - start - 4:,} bytes; the limit is {FRAME_LIMIT_BYTES:,}")
        elif size - start >= 4 and end - start > READ_BYTES:
            self._begin_large(piece[start + 4 :], end - start - 4)
        else:
            self._rest = bytearray(piece[start:])
            self._needed = end - start if size - start >= 4 else 4

    def _begin_large(self, first: bytes, length: int) -> None:
        self._large = bytearray(length)
        self._filled = len(first)
        self._large[: len(first)] = first

    def _hand_on(self, bodies: Sequence[Body]) -> bool:
        """False if a frame is not valid protocol."""
        try:
            self._take(bodies)
        except ValueError as error:
            self._end(f"it sent something that is not protocol: {error}")
            return False
        return True

    def _end(self, fault: str | None) -> None:
        if self._open:
            self.close()
            self._ended(fault)

    def _flush(self) -> None:
        if not self._open or self._unsent:
            return  # `_push` sends the queued frames when the socket has room again
        pieces = [b"".join(self._waiting)] if self._joins else self._waiting
        self._unsent.extend(map(memoryview, pieces))
        self._waiting, self._joins = [], True
        self._push()

    def _push(self) -> None:
        while self._unsent:
            piece = self._unsent[0]
            try:
                sent = self._sock.send(piece)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:  # the watcher of the process reports why it ended
                self._unsent.clear()
                self._waiting.clear()
                return
            if sent < len(piece):
                self._unsent[0] = piece[sent:]
                self._is_blocked = True
                self._loop.add_writer(self._sock.fileno(), self._push)
                return
            self._unsent.popleft()
        if self._is_blocked:
            self._is_blocked = False
            self._loop.remove_writer(self._sock.fileno())
        if self._waiting:
            self._flush()
