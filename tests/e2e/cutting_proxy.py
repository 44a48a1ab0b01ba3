"""A proxy on loopback that breaks event streams: after a chosen event, in the middle of the next one."""

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

Plan = Callable[[int, int], int | None]
"""After how many events a connection is cut, by the numbers of its stream (in order of first visits) and visit."""

HOLD_SECONDS: Final = 40.0
_END_TO_END: Final = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


def never(stream: int, visit: int) -> None:
    """A proxy that only passes on."""


def one_later_each_time(stream: int, visit: int) -> int | None:
    """The first stream is cut before its first event, the next one after it, and so on; each once."""
    return stream if visit == 0 else None


def after_each(stream: int, visit: int) -> int:
    """No connection lives longer than one event."""
    return 1


class CuttingProxy:
    """Passes everything on to a server, which may go and come. `hold_at`: wait there for `release`, then cut, once."""

    def __init__(self, port: int, plan: Plan = never, *, hold_at: int | None = None) -> None:
        self._upstream_port = port
        self._plan = plan
        self._hold_at = hold_at
        self._streams: dict[str, int] = {}
        self._visits: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.cuts = 0
        self.holding = threading.Event()
        self._released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                try:
                    outer.pass_on(self)
                except OSError:  # the server is away, or the client has gone: as without a proxy, there is no answer
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def release(self) -> None:
        """Let go of the stream that is held."""
        self._released.set()

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=60)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() not in _END_TO_END}
            upstream.request(handler.command, handler.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _END_TO_END:
                    handler.send_header(name, value)
            if answer.getheader("content-type") == "text/event-stream" and handler.command == "GET":
                self._stream(handler, answer)
            else:
                content = answer.read()
                handler.send_header("content-length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content)
        except http.client.HTTPException:  # the server died in the middle
            handler.close_connection = True
        finally:
            upstream.close()

    def _stream(self, handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse) -> None:
        cut_after, is_held = self._visit(handler.path)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        told = 0
        for block in _blocks(answer):
            is_event = block.startswith(b"event:")
            if is_event and cut_after is not None and told == cut_after:
                if is_held:
                    self.holding.set()
                    self._released.wait(HOLD_SECONDS)
                self._cut(handler, block)
                return
            _send(handler, block)
            told += is_event
        handler.wfile.write(b"0\r\n\r\n")

    def _visit(self, path: str) -> tuple[int | None, bool]:
        with self._lock:
            stream = self._streams.setdefault(path, len(self._streams))
            visit = self._visits[path]
            self._visits[path] += 1
            if self._hold_at is not None:
                hold_at, self._hold_at = self._hold_at, None
                return hold_at, True
            return self._plan(stream, visit), False

    def _cut(self, handler: BaseHTTPRequestHandler, block: bytes) -> None:
        """Send half of the event, and break the connection."""
        with self._lock:
            self.cuts += 1
        _send(handler, block[: len(block) // 2])
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    rest = b""
    while piece := answer.read1(65536):
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            yield block + b"\n\n"
    if rest:
        yield rest


def _send(handler: BaseHTTPRequestHandler, piece: bytes) -> None:
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
