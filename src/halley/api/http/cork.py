"""One write for an answer's head and its body.

The server writes them one after the other; two writes are two system calls and two packets, which cost a small answer
a tenth of all its work.
"""

import array
import asyncio
import fcntl
import termios
from collections.abc import Callable
from typing import Final

_CONTINUE: Final = b"HTTP/1.1 100 "
_COPIED_BYTES: Final = 64 * 1024  # joining more costs as much as the second system call


class CorkedTransport:
    """The transport of one answer: the first piece written, its head, leaves together with the second.

    Only for answers that have a second piece: not for HEAD. `is_unsent` tells of an answer with `at_once` that the
    system has not taken all of its bytes: some wait for a slow reader, or the connection was found dead. Such an answer
    is written where it stands; others may be put off to the end of the loop's turn, when nobody could tell any more.
    `end` closes the connection in the place of the transport.
    """

    __slots__ = ("_at_once", "_end", "_head", "_transport", "is_unsent")

    def __init__(
        self, transport: asyncio.Transport, *, at_once: bool = False, end: Callable[[], None] | None = None
    ) -> None:
        self._transport = transport
        self._head: bytes | None = None  # b"" once it is out
        self._at_once = at_once
        self._end = end
        self.is_unsent = False

    def write(self, data: bytes) -> None:
        """Write, or keep the head for a moment."""
        if self._head:
            head, self._head = self._head, b""
            if self._at_once:
                self._write_at_once(head + data)
            elif len(data) > _COPIED_BYTES:
                self._transport.writelines([head, data])
            else:
                self._transport.write(head + data)
        elif self._head is None and not data.startswith(_CONTINUE):
            self._head = data
        else:
            self._transport.write(data)

    def sent(self) -> None:
        """What had waited for the reader is gone."""
        if self.is_unsent:
            self.is_unsent = False
            self._transport.set_write_buffer_limits()

    def _write_at_once(self, data: bytes) -> None:
        transport = self._transport
        transport.set_write_buffer_limits(high=0)  # nothing is put off, and `resume_writing` means that all is gone
        transport.write(data)
        if transport.is_closing() or transport.get_write_buffer_size():
            self.is_unsent = True
        else:
            transport.set_write_buffer_limits()

    def close(self) -> None:
        """Close the connection once all is written; a head that waits goes out alone."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        (self._end or self._transport.close)()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the peer has not acknowledged; asked when it has closed its side, they are those that it never got.

    Its FIN acknowledges everything that came before. 0 if the system does not say.
    """
    waiting = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None:
        return waiting
    count = array.array("i", [0])
    try:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, count)
    except (OSError, ValueError):
        return waiting
    return waiting + count[0]
