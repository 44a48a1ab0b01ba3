"""A proxy on loopback that breaks creates: a plan says what happens to each, in order. It forwards everything else."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Final, Self

Headers = dict[str, str]
Stored = Callable[[], int]
"""How many predictions the server has for the caller of this test."""

WAIT_SECONDS: Final = 30.0
_BAD_GATEWAY: Final = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<h1>Bad gateway</h1>"
)


class Exchange:
    """One create between a client and the server; a fault decides how it ends."""

    def __init__(self, proxy: "BreakingProxy", client: socket.socket, request: bytes) -> None:
        self.proxy = proxy
        self.client = client
        self._request = request
        self._server: socket.socket | None = None
        self.is_broken = False

    def send(self) -> None:
        """Give the request to the server, on a connection of its own."""
        self._server = socket.create_connection(("127.0.0.1", self.proxy.target), 10)
        self._server.settimeout(70)
        self._server.sendall(self._request)
        self.proxy.sent += 1

    def answer(self) -> bytes:
        """The whole answer of the server; OSError if there is none."""
        assert self._server is not None
        try:
            response = http.client.HTTPResponse(self._server, method="POST")
            response.begin()
            body = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError("the server is gone") from error
        lines = [f"HTTP/1.1 {response.status} {response.reason}"]
        lines += [f"{name}: {value}" for name, value in response.getheaders() if name.lower() != "connection"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def close(self) -> None:
        """Be done with the server."""
        if self._server is not None:
            self._server.close()

    def break_off(self, *, reset: bool = False) -> None:
        """End both connections, the server's first: whoever tries again comes behind it."""
        self.is_broken = True
        for end in (self._server, self.client):
            if end is not None:
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                end.close()


Fault = Callable[[Exchange], None]


def passed(exchange: Exchange) -> None:
    """Nothing goes wrong."""
    exchange.send()
    exchange.client.sendall(exchange.answer())


def closed_when_stored(exchange: Exchange) -> None:
    """The connections end as soon as the prediction is stored."""
    _when_stored(exchange)
    exchange.break_off()


def reset_when_stored(exchange: Exchange) -> None:
    """The same, without a farewell."""
    _when_stored(exchange)
    exchange.break_off(reset=True)


def _when_stored(exchange: Exchange) -> None:
    before = exchange.proxy.stored()
    exchange.send()
    until(lambda: exchange.proxy.stored() > before)


def closed_again(exchange: Exchange) -> None:
    """The connections end a moment after a create that makes nothing new was sent."""
    exchange.send()
    time.sleep(0.1)
    exchange.break_off()


def bad_gateway(exchange: Exchange) -> None:
    """The server answers, and the client gets something else."""
    exchange.send()
    exchange.answer()
    exchange.client.sendall(_BAD_GATEWAY)


def answer_lost(exchange: Exchange) -> None:
    """The server answers, and the client gets nothing."""
    exchange.send()
    exchange.answer()
    exchange.break_off()


class BreakingProxy:
    """Give it the server's port, how to count what is stored, and a fault for each create; then all pass.

    `before` is called before each create is passed on. `creates` has the headers of those that clients sent.
    """

    def __init__(self, target: int, stored: Stored, *plan: Fault, before: Callable[[], None] = lambda: None) -> None:
        self.target = target
        self.stored = stored
        self.creates: list[Headers] = []
        self.sent = 0  # requests that the server was given
        self._plan = list(plan)
        self._before = before
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), client.makefile("rb") as stream:
            while (request := _read_request(stream)) is not None:
                line, headers, whole = request
                fault = passed
                if line.startswith("POST ") and line.split()[1].rstrip("/").endswith("/predictions"):
                    with self._lock:
                        self.creates.append(headers)
                        fault = self._plan.pop(0) if self._plan else passed
                    self._before()
                exchange = Exchange(self, client, whole)
                try:
                    fault(exchange)
                except OSError:
                    exchange.break_off()
                    return
                finally:
                    exchange.close()
                if exchange.is_broken:
                    return  # only with its stream does the client's connection really close


def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.01)


def _read_request(stream: BinaryIO) -> tuple[str, Headers, bytes] | None:
    lines = []
    while (line := stream.readline(65_536)) not in (b"\r\n", b""):
        lines.append(line)
    if not lines:
        return None
    headers = {}
    for line in lines[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return lines[0].decode("latin-1"), headers, b"".join([*lines, b"\r\n", body])
