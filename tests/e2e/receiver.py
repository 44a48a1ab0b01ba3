"""A receiver of webhooks on loopback: keeps what arrives, answers as it is told."""

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Arrived:
    """A message as it arrived; `number` counts from 0 in order of arrival."""

    number: int
    path: str
    headers: dict[str, str]
    content: bytes
    status: int = 0  # as it was answered
    begins_at: float = 0.0  # monotonic
    ends_at: float = math.inf

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> Any:
        return json.loads(self.content)


class Receiver:
    """A threaded server. `answer` gives the status for a message; it may take its time."""

    def __init__(self, answer: Callable[[Arrived], int] = lambda _: 200, port: int = 0) -> None:
        self.arrived: list[Arrived] = []
        self._lock = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                content = self.rfile.read(length)
                if len(content) < length:  # its sender was killed in the middle: that is no message
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                with outer._lock:
                    message = Arrived(len(outer.arrived), self.path, headers, content, begins_at=time.monotonic())
                    outer.arrived.append(message)
                    outer._lock.notify_all()
                message.status = answer(message)
                message.ends_at = time.monotonic()
                try:
                    self.send_response(message.status)
                    self.send_header("content-length", "2")
                    self.end_headers()
                    self.wfile.write(b"ok")
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the sender was killed meanwhile

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, is_enough: Callable[[list[Arrived]], bool], seconds: float = 30) -> list[Arrived]:
        """What has arrived, once it is enough."""
        end = time.monotonic() + seconds
        with self._lock:
            while not is_enough(self.arrived):
                left = end - time.monotonic()
                if left <= 0:
                    told = [(one.id, one.body["status"], one.status) for one in self.arrived]
                    raise AssertionError(f"not enough has arrived in {seconds} s: {told}")
                self._lock.wait(left)
            return list(self.arrived)

    def wait_for(self, count: int, seconds: float = 30) -> list[Arrived]:
        return self.wait(lambda arrived: len(arrived) >= count, seconds)
