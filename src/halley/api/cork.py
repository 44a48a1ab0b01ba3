"""One write for an answer's head and its body.

The server writes them one after the other; two writes are two system calls and two packets, which cost a small answer
a tenth of all its work.
"""

import asyncio
from typing import Final

_CONTINUE: Final = b"HTTP/1.1 100 "
_COPIED_BYTES: Final = 64 * 1024  # joining more costs as much as the second system call


class CorkedTransport:
    """The transport of one answer: the first piece written, its head, leaves together with the second.

    Only for answers that have a second piece: not for HEAD.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None  # b"" once it is out

    def write(self, data: bytes) -> None:
        """Write, or keep the head for a moment."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) > _COPIED_BYTES:
                self._transport.writelines([head, data])
            else:
                self._transport.write(head + data)
        elif self._head is None and not data.startswith(_CONTINUE):
            self._head = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection once all is written; a head that waits goes out alone."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
