"""Our own load program: it counts answers by status, whole ones only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from load import Request, load


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(b"x" * 70_000)

    def do_POST(self) -> None:
        self.answer(self.headers["Content-Type"].encode() + self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body: bytes) -> None:
        if self.path == "/closed":
            self.close_connection = True
            return
        self.send_response({"/here?a=1": 200, "/made": 201}.get(self.path, 404))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_repeats_a_request_on_each_connection_and_counts_the_answers() -> None:
    with site() as base:
        counted = load(Request(f"{base}/here?a=1"), connections=3, seconds=0.1)
        assert counted.good == counted.statuses[200] > 3
        assert counted.failures() == ""
        posted = load(Request(f"{base}/made", ("X: y",), b"body", "text/plain"), connections=1, seconds=0)
        assert dict(posted.statuses) == {201: 1}


def test_refusals_and_lost_connections_are_not_good() -> None:
    with site() as base:
        refused = load(Request(f"{base}/none"), connections=2, seconds=0)
        assert refused.good == 0
        assert refused.failures() == "2 times HTTP 404"
        assert load(Request(f"{base}/closed"), connections=2, seconds=0).failures() == "2 connections lost"
    assert load(Request(f"{base}/here"), connections=1, seconds=0).failures() == "1 connections lost"
