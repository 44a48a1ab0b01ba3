"""Sends parts of files: over plain HTTP the kernel sends them, and their bytes are not copied through Python.

The event loop has no such call, so it is made on the connection's socket beside the loop's own transport. That is safe
while the transport has nothing to write and no other code writes to it; otherwise, and over TLS, the bytes are read and
written as usual. Source: design section 9; performance note, section 7.
"""

import asyncio
import errno
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from typing import Final, Protocol, Self

from anyio import to_thread

_log: Final = logging.getLogger(__name__)

PIECE_BYTES: Final = 2**21  # takes half a millisecond of the loop's time
READ_BYTES: Final = 2**18
_FIRST_BYTES: Final = 2**14  # sent together with the head
_PROBED_BYTES: Final = 2**19  # the kernel reads ahead in pieces of this size
_WITHOUT_WAITING: Final = getattr(os, "RWF_NOWAIT", 0)


class SlowReader(Protocol):
    """The connection that receives the bytes, which may be slow."""

    def pause_writing(self) -> None:
        """It cannot accept more now."""
        ...

    def resume_writing(self) -> None:
        """It has accepted some."""
        ...


class FileSlice:
    """A part of an open file, which this object closes: use it in a `with` statement."""

    def __init__(self, file: int, start: int, end: int) -> None:
        """The bytes from `start` up to, not including, `end`."""
        self._file = file
        self._start = self._at = start
        self._end = end
        self._looked_at = start  # the bytes before it are known to be in memory
        self._wake: Callable[[], None] | None = None
        self._is_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; does nothing a second time."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def is_unsent(self) -> bool:
        """Whether some of it was not sent; at the end: the file was too short, the disk failed, or the reader
        disconnected.
        """
        return self._at < self._end

    # read and written

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes in pieces; ends early if the file is shorter than expected."""
        while self._at < self._end:
            size = min(READ_BYTES, self._end - self._at)
            if self._is_in_memory(size):
                chunk = os.pread(self._file, size, self._at)
            else:
                chunk = await to_thread.run_sync(os.pread, self._file, size, self._at)
            if not chunk:
                return
            self._at += len(chunk)
            yield chunk

    # sent by the kernel

    async def send(self, head: bytes, transport: asyncio.Transport, reader: SlowReader) -> None:
        """Send head and bytes, bypassing the transport, which must not be written to meanwhile. Raises nothing.

        Ends early when the connection is lost, or the file cannot be read or is too short: then `is_unsent`.
        """
        connection: int = transport.get_extra_info("socket").fileno()
        with ExitStack() as stack:
            is_own = False
            # after it is closed, its number may belong to another connection
            while (head or self.is_unsent) and not self._is_stopped and not transport.is_closing():
                try:
                    if self.is_unsent and self._at >= self._looked_at:
                        await self._look_ahead()
                    elif head:
                        head = self._send_head(connection, head)
                    elif not self._send_piece(connection):
                        _log.error("a stored file ends %d bytes too early", self._end - self._at)
                        return
                except BlockingIOError:
                    if not is_own:  # the loop forbids others to watch its own descriptor
                        connection, is_own = os.dup(connection), True
                        stack.callback(os.close, connection)
                    reader.pause_writing()
                    await self._writable(connection)
                    reader.resume_writing()
                except (BrokenPipeError, ConnectionResetError):
                    return  # the transport notices it by itself
                except OSError as error:
                    _log.error("a stored file cannot be read: %s", error)
                    return

    def stop(self) -> None:
        """The connection is lost: stop sending."""
        self._is_stopped = True
        if self._wake is not None:
            self._wake()

    def _send_head(self, connection: int, head: bytes) -> bytes:
        """Send the head with the first bytes, so that the first packet is full; returns the unsent rest."""
        first = os.pread(self._file, min(_FIRST_BYTES, self._looked_at - self._at), self._at)
        sent = os.writev(connection, [head, first])
        self._at += max(0, sent - len(head))
        return head[sent:]

    def _send_piece(self, connection: int) -> int:
        sent = os.sendfile(connection, self._file, self._at, self._looked_at - self._at)
        self._at += sent
        return sent

    async def _writable(self, connection: int) -> None:
        loop = asyncio.get_running_loop()
        turn = asyncio.Event()
        self._wake = turn.set
        loop.add_writer(connection, turn.set)
        try:
            await turn.wait()
        finally:
            loop.remove_writer(connection)
            self._wake = None

    # the disk

    async def _look_ahead(self) -> None:
        """Load the next piece into memory: otherwise the kernel would block the whole loop while the disk reads."""
        size = min(PIECE_BYTES, self._end - self._at)
        if not self._is_in_memory(size):
            await to_thread.run_sync(self._fetch, size)
        elif self._looked_at > self._start:
            await asyncio.sleep(0)  # let other tasks run after each piece
        self._looked_at = self._at + size

    def _is_in_memory(self, size: int) -> bool:
        """Whether the next bytes can be read without waiting for a disk, judged from a sample of them."""
        if not _WITHOUT_WAITING:
            return True
        probe = [bytearray(1)]
        last = self._at + size - 1
        try:
            for at in (*range(self._at, last, _PROBED_BYTES), last):
                os.preadv(self._file, probe, at, _WITHOUT_WAITING)
        except BlockingIOError:
            return False
        except OSError as error:
            # otherwise it is unknown; usually they are in memory
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        return True

    def _fetch(self, size: int) -> None:
        """Load the next bytes into memory. Runs in a thread."""
        room = [bytearray(READ_BYTES)]
        at, end = self._at, self._at + size
        while at < end and (read := os.preadv(self._file, room, at)):
            at += read
