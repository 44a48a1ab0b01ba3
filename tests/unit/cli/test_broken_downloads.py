"""Downloads that break off say where, in plain words."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from halley.cli.downloading import Downloads
from halley.cli.failures import NotSaved

LIBRARY_WORDS = ("RemoteProtocolError", "ReadError", "peer closed", "disconnected", "httpx", "bytearray")


class Timing:
    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        pass

    def random(self) -> float:
        return 0.5


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A host that gives the same bytes to everybody and closes the connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while b"\r\n\r\n" not in self.request.recv(65536):
                pass
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/d/picture.png"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "the download of {url} broke off after 4 of 10 bytes"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf", "the download of {url} broke off after"),
        (b"HTTP/1.1 200 OK\r\n", "it closed the connection without a whole answer"),
        (b"220 mail.example ESMTP\r\n\r\n", "its answer is not valid HTTP"),
    ],
)
def test_a_download_that_breaks_off_says_where(tmp_path: Path, answer: bytes, words: str) -> None:
    with answering(answer) as url, httpx2.Client(trust_env=False) as http:
        downloads = Downloads(http, authorization=lambda _: {}, timing=Timing())
        with pytest.raises(NotSaved) as failed:
            downloads.fetch(f"{url}?signature=secret", tmp_path / "picture.png", key="k")
    assert words.format(url=url) in str(failed.value)
    assert "secret" not in str(failed.value)
    assert not [word for word in LIBRARY_WORDS if word in str(failed.value)]


def test_a_refused_connection_is_reported_in_the_systems_words(tmp_path: Path) -> None:
    with answering(b"") as url:
        pass
    with httpx2.Client(trust_env=False) as http:
        downloads = Downloads(http, authorization=lambda _: {}, timing=Timing())
        with pytest.raises(NotSaved, match=r"could not be fetched: Connection refused\."):
            downloads.fetch(url, tmp_path / "picture.png", key="k")
