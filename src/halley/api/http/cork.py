"""Sends an answer's head and body in one write.

The server writes them separately; two writes are two system calls and two packets, which cost a small answer a tenth of
its work.
"""

import array
import asyncio
import fcntl
import termios
from collections.abc import Callable
from typing import Final

_CONTINUE: Final = b"HTTP/1.1 100 "
_COPIED_BYTES: Final = 64 * 1024  # copying more costs as much as a second system call


class CorkedTransport:
    """The transport of an answer: the head is kept until the first piece of the body, and sent together with it.

    Only for answers with a body: not for HEAD. `is_unsent` is called for an answer with `at_once` if the system has not
    accepted all of its bytes, because the reader is slow or the connection is dead. Such an answer is written
    immediately; others may be written at the end of the loop's cycle, when this could not be reported any more. `end`
    closes the connection instead of the transport. With `again` the next answer may be written through the same object:
    `sent` is called before the connection is used in another way.
    """

    __slots__ = ("_again", "_at_once", "_end", "_head", "_is_unbuffered", "_transport", "is_unsent")

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        at_once: bool = False,
        again: bool = False,
        end: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self._head: bytes | None = None  # b"" once it is sent
        self._at_once = at_once
        self._again = again
        self._end = end
        self._is_unbuffered = False
        self.is_unsent = False

    def write(self, data: bytes) -> None:
        """Write, or keep the head."""
        if self._head:
            head, self._head = self._head, b""
            if self._at_once:
                self.write_whole(head + data)
            elif len(data) > _COPIED_BYTES:
                self._transport.writelines([head, data])
            else:
                self._transport.write(head + data)
        elif self._head is None and not data.startswith(_CONTINUE):
            self._head = data
        else:
            self._transport.write(data)

    def write_whole(self, data: bytes) -> None:
        """Write the whole answer at once."""
        self._head = None if self._again else b""
        transport = self._transport
        if not self._at_once:
            transport.write(data)
            return
        if not self._is_unbuffered:
            # so that `resume_writing` means that everything was sent
            self._is_unbuffered = True
            transport.set_write_buffer_limits(high=0)
        transport.write(data)
        if transport.is_closing() or transport.get_write_buffer_size():
            self.is_unsent = True
        elif not self._again:
            self.sent()

    def sent(self) -> None:
        """The buffered bytes have been sent."""
        self.is_unsent = False
        if self._is_unbuffered:
            self._is_unbuffered = False
            self._transport.set_write_buffer_limits()

    def close(self) -> None:
        """Close the connection after everything is written; a kept head is sent alone."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        (self._end or self._transport.close)()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the peer has not acknowledged; after the peer has closed its side, the bytes that it never received.

    A FIN acknowledges everything before it. 0 if the system does not report it.
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
