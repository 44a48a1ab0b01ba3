"""The JSON process itself: `python -m halley.offload.child FD` answers on that socket until it is closed."""

import gc
import resource
import signal
import socket
import sys
from typing import Final

from halley.errors import HalleyError, TooLarge
from halley.offload import messages
from halley.offload.work import answer

MEMORY_BYTES: Final = 2 * 2**30  # of address space; valid bodies need a small part of it


def main() -> None:
    """Answer one request after the other."""
    # a terminal sends SIGINT to all processes: the server decides when this one ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    gc.disable()  # JSON has no cycles, and searching a million values for them takes long
    sock = socket.socket(fileno=int(sys.argv[1]))
    while (head := receive(sock)) is not None and (value := receive(sock)) is not None:
        reply = messages.encode(_reply(head, value))
        del head, value
        sock.sendall(messages.LENGTH.pack(len(reply)))
        sock.sendall(reply)
        del reply


def receive(sock: socket.socket) -> bytearray | None:
    """One message; None if the other side has closed.

    Raises:
        OSError: the connection broke, or a time limit of the socket passed.
    """
    head = _exactly(sock, messages.LENGTH.size)
    return None if head is None else _exactly(sock, messages.LENGTH.unpack(head)[0])


def _exactly(sock: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        came = sock.recv_into(view[filled:])
        if not came:
            return None
        filled += came
    return buffer


def _reply(head: bytearray, value: bytearray) -> messages.Reply:
    try:
        return answer(messages.joined(head, value))
    except HalleyError as error:
        return messages.failed(error)
    except MemoryError:
        return messages.failed(TooLarge("Reading the JSON body needs more memory than is allowed."))


if __name__ == "__main__":
    main()
