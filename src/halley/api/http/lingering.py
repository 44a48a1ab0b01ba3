"""Closes a connection whose client is still sending: reads for a time and drops the data.

Closing a socket with unread bytes resets the connection, and after a reset a client that reads the answer only when it
has sent everything does not get it. An early refusal would then look like ECONNRESET.
"""

import asyncio
from typing import Final, Protocol

PAUSE_SECONDS: Final = 3.0  # without a byte; a client over TLS waits as long to see the end
LONGEST_SECONDS: Final = 300.0
_LEAST_BYTES: Final = 2**30


def limit_bytes(upload_bytes: int) -> int:
    """How much is read and dropped: more than is ever accepted, so that a client with a larger body gets its answer
    too.
    """
    return max(_LEAST_BYTES, 2 * upload_bytes)


class Answered(Protocol):
    """The protocol after its last answer. Its sweep ends the connection at `deadline`."""

    deadline: float

    def eof_received(self) -> bool | None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Lingering(asyncio.Protocol):
    """Takes over the connection from a protocol that has written its last answer."""

    def __init__(self, transport: asyncio.Transport, before: Answered, left_bytes: int) -> None:
        self._transport = transport
        self._before = before
        self._left_bytes = left_bytes
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + LONGEST_SECONDS
        self._prolong()

    def begin(self) -> None:
        """Take over. Without TLS the client sees at once that nothing more will be sent."""
        self._transport.set_protocol(self)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.close()
        self._prolong()

    def eof_received(self) -> None:
        self._before.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()

    def _prolong(self) -> None:
        self._before.deadline = min(self._now() + PAUSE_SECONDS, self._end)
