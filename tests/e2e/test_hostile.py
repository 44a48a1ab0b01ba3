"""Malformed, oversized and hostile requests over a real connection: a clear refusal, never 500, nothing stored."""

import json
import socket
from collections.abc import Iterator

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

CONFIG = """
[limits]
header_seconds = 1
body_seconds = 1
json_body_bytes = "1MiB"
upload_bytes = "1MiB"
"""
TEXT = "/v1/models/demo/text/predictions"  # requires a prompt


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("hostile"), config=CONFIG) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_stored(halley: Halley) -> Iterator[None]:
    yield
    status, _, page = halley.call("GET", "/v1/predictions")
    assert (status, page["results"]) == (200, [])
    assert halley.call("GET", "/v1/files")[2]["results"] == []
    assert "Traceback" not in halley.log()


BODIES: dict[str, tuple[bytes, int]] = {
    "not json": (b"{", 400),
    "empty": (b"", 422),
    "not an object": (b"[]", 400),
    "no input": (b'{"version":"demo/paint:x"}', 422),
    "NaN": (b'{"input":{"prompt":NaN}}', 400),
    "Infinity": (b'{"input":{"prompt":-Infinity}}', 400),
    "too large a number": (b'{"input":{"prompt":1e999}}', 400),
    "duplicate keys": (b'{"input":{"prompt":"a","prompt":"b"}}', 400),
    "duplicate keys, one escaped": (b'{"input":{"prompt":"a","pr\\u006fmpt":"b"}}', 400),
    "NUL": (b'{"input":{"prompt":"a\\u0000b"}}', 400),
    "raw NUL": (b'{"input":{"prompt":"a\x00b"}}', 400),
    "lone surrogate": (b'{"input":{"prompt":"\\ud800"}}', 400),
    "invalid UTF-8": (b'{"input":{"prompt":"\xff"}}', 400),
    "UTF-16": ('{"input":{"prompt":"a"}}'.encode("utf-16"), 400),
    "byte order mark": (b"\xef\xbb\xbf" + b'{"input":{}}', 400),
    "deep": (b'{"input":{"prompt":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400),
    "just too deep": (b'{"input":{"prompt":' + b"[" * 65 + b"]" * 65 + b"}}", 400),
    "beyond 64 bits": (b'{"input":{"prompt":123456789012345678901234567890}}', 422),
    "wrong type": (b'{"input":{"prompt":5}}', 422),
    "input is a list": (b'{"input":["a"]}', 422),
    "a foreign scheme for the webhook": (b'{"input":{},"webhook":"file:///etc/passwd"}', 422),
    "an unknown webhook event": (b'{"input":{},"webhook":"https://x.example","webhook_events_filter":["all"]}', 422),
    "trailing garbage": (b'{"input":{}}{}', 400),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(halley: Halley, name: str) -> None:
    body, expected = BODIES[name]
    status, headers, problem = halley.call("POST", TEXT, body)
    assert status == expected, problem
    assert headers["content-type"] == "application/problem+json"
    assert isinstance(problem["detail"], str)
    assert problem["detail"]
    assert problem["status"] == status


def test_a_body_over_the_limit_is_refused_before_it_is_read(halley: Halley) -> None:
    with socket.create_connection(("127.0.0.1", halley.port), 10) as raw:
        raw.sendall(_head("POST", TEXT, halley, "Content-Length: 2000000", "Content-Type: application/json"))
        assert _answer(raw).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_counted_while_it_comes(halley: Halley) -> None:
    with socket.create_connection(("127.0.0.1", halley.port), 10) as raw:
        raw.sendall(_head("POST", TEXT, halley, "Transfer-Encoding: chunked", "Content-Type: application/json"))
        chunk = b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n"
        try:
            for _ in range(40):
                raw.sendall(chunk)
        except OSError:
            pass  # it may close before all is sent
        assert _answer(raw).startswith(b"HTTP/1.1 413 ")


def test_an_upload_over_the_limit(halley: Halley) -> None:
    part = (
        b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'
        + b"a" * 2_000_000
        + b"\r\n--x--\r\n"
    )
    status, _, problem = halley.call(
        "POST", "/v1/files", part, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert status == 413
    assert "limits.upload_bytes" in problem["detail"]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"--x\r\n",
        b"--x\r\n\r\n\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\na\r\n--x--\r\n',
    ],
)
def test_broken_multipart(halley: Halley, broken: bytes) -> None:
    status, _, problem = halley.call(
        "POST", "/v1/files", broken, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert status in {400, 422}, problem


def test_a_huge_header_block_is_refused_before_it_ends(halley: Halley) -> None:
    with socket.create_connection(("127.0.0.1", halley.port), 10) as raw:
        raw.sendall(b"GET /v1/account HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000)
        assert _answer(raw).startswith(b"HTTP/1.1 431 ")


def test_length_and_chunks_at_once(halley: Halley) -> None:
    with socket.create_connection(("127.0.0.1", halley.port), 10) as raw:
        raw.sendall(_head("POST", TEXT, halley, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
        assert _answer(raw).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /v1/acc", b"GET /v1/account HTTP/1.1\r\nHost: x\r\n"],
    ids=["nothing", "half a line", "half a header block"],
)
def test_a_slow_header_is_closed(halley: Halley, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", halley.port), 30) as raw:
        raw.sendall(sent)
        answer = _answer(raw)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_is_closed(halley: Halley) -> None:
    with socket.create_connection(("127.0.0.1", halley.port), 30) as raw:
        raw.sendall(_head("POST", TEXT, halley, "Content-Length: 100", "Content-Type: application/json") + b"{")
        answer = _answer(raw)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("method", ["TRACE", "QUERY", "PUT", "PATCH", "PROPFIND", "OPTIONS"])
def test_methods_that_are_not_served(halley: Halley, method: str) -> None:
    status, headers, problem = halley.call(method, "/v1/account")
    assert status == 405, problem
    assert "GET" in headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["/v1/predictions/%00", "/v1/predictions/%ff%fe", "/v1/predictions/..%2f..%2fetc", "/v1/models/%F0%9F%8E%A8/x",
     "/v1/predictions/" + "a" * 5000, "/v1/files/%2e%2e", "/d/x/y", "/v1/nothing", "/v2//account"],
)  # fmt: skip
def test_odd_paths_are_absent(halley: Halley, path: str) -> None:
    status, _, _ = halley.call("GET", path)
    assert status in {404, 414}


@pytest.mark.parametrize(
    "key", ["", "x", "hly_" + "a" * 38, "é" * 20, "' OR 1=1 --" + "x" * 40, "k" * 5000], ids=range(6)
)
def test_wrong_keys_get_one_answer(halley: Halley, key: str) -> None:
    raw_key = key.encode("utf-8").decode("latin-1")
    status, headers, problem = halley.call("GET", "/v1/predictions", key=raw_key)
    assert status == 401
    assert problem["title"] == "Unauthenticated"
    assert headers["www-authenticate"] == "Bearer"


def test_authentication_comes_before_everything(halley: Halley) -> None:
    for body in (b"{", b"x" * 100, json.dumps({"input": 5}).encode()):
        assert halley.call("POST", TEXT, body, key=None)[0] == 401
    assert halley.call("GET", "/v1/predictions/" + "a" * 26, key=None)[0] == 401


def _head(method: str, path: str, halley: Halley, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {halley.key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _answer(raw: socket.socket) -> bytes:
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            data = raw.recv(65536)
            if not data:
                break
            received += data
    except ConnectionResetError:
        pass  # it closed with our bytes unread: as good as the end
    return received
