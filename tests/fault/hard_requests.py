"""Requests that make a server work as hard as one request can, each as plain bytes over a socket.

They are those of rows A1 to A7 of the faults: escapes without an end, spaces in a Range, a million faults, large legal
bodies, a long URL, slow bodies and pages of large rows.
"""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

MIB: Final = 2**20
Send = Callable[["Target"], int]


class Target:
    """The server, and a key."""

    def __init__(self, port: int, key: str, seconds: float = 60.0) -> None:
        self.port, self.key, self.seconds = port, key, seconds

    def request(self, method: str, path: str, *pieces: bytes, pause: float = 0.0, **headers: str) -> tuple[int, bytes]:
        """Give the status and the body; status 0 if the server cut the connection."""
        size = sum(map(len, pieces))
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
        head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
        head += f"Content-Length: {size}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), self.seconds) as connection:
            with suppress(ConnectionError):  # a refusal may come before all is sent
                connection.sendall(head.encode("latin-1"))
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
            return self._answer(connection)

    def _answer(self, connection: socket.socket) -> tuple[int, bytes]:
        got = bytearray()
        with suppress(ConnectionError, ssl.SSLError):
            while piece := connection.recv(MIB):
                got += piece
        head, _, body = bytes(got).partition(b"\r\n\r\n")
        return (int(head.split()[1]), body) if head else (0, b"")

    def create(self, input_json: bytes, model: str = "demo/echo", **headers: str) -> tuple[int, bytes]:
        """Create a prediction."""
        body = b'{"version":"%s","input":%s}' % (model.encode(), input_json)
        return self.request("POST", "/v1/predictions", body, **headers)


def escapes(target: Target) -> int:
    """A1"""
    return target.request("POST", "/v1/predictions", b'{"input": "' + b'\\"' * 40_000)[0]


def escapes_in_metadata(target: Target) -> int:
    """A1"""
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = part % (b"content", b"x") + part % (b"metadata", b'{"a": "' + b'\\"' * 30_000) + b"--b--\r\n"
    return target.request("POST", "/v1/files", body, Content_Type="multipart/form-data; boundary=b")[0]


def spaces_in_range(target: Target) -> int:
    """A2: a Range of 31,000 spaces, of an output file that is there"""
    return target.request("GET", target_file(target), Range="bytes=" + " " * 31_000 + "x")[0]


def a_million_faults(target: Target) -> int:
    """A3"""
    return target.create(b'{"items":[' + b"1, " * (2 * MIB // 3 - 1) + b"1]}")[0]


def array_of_numbers(target: Target) -> int:
    """A4: as many numbers as may be"""
    return target.create(b'{"value":[' + b"123456789.123456789012345678901, " * 900_000 + b"1]}", "test/anything")[0]


def too_many_numbers(target: Target) -> int:
    """A4: 30 MiB of small numbers"""
    return target.create(b'{"value":[' + b"1," * (15 * MIB) + b"1]}", "test/anything")[0]


def empty_objects(target: Target) -> int:
    """A4: as many as may be"""
    return target.create(b'{"value":[' + b"{}," * 999_000 + b"{}]}", "test/anything")[0]


def too_many_empty_objects(target: Target) -> int:
    """A4: 32 MiB of them"""
    return target.create(b'{"value":[' + b"{}," * (10 * MIB) + b"{}]}", "test/anything")[0]


def deep_lists(target: Target) -> int:
    """A4: nested 60 deep"""
    one = b"[" * 58 + b"1" + b"]" * 58
    return target.create(b'{"value":[' + b",".join([one] * 16_000) + b"]}", "test/anything")[0]


def long_text(target: Target) -> int:
    """A4: one text of 30 MiB; it comes back"""
    return target.create(b'{"text":"' + b"x" * (30 * MIB) + b'"}')[0]


def long_text_of_escapes(target: Target) -> int:
    """A4: one text of 30 MiB, all escapes"""
    return target.create(b'{"text":"' + b'\\"' * (15 * MIB) + b'"}')[0]


def many_names(target: Target) -> int:
    """A4: an object of 500,000 names"""
    members = b",".join(b'"name%d":%d' % (number, number) for number in range(490_000))
    return target.create(b'{"value":{' + members + b"}}", "test/anything")[0]


def many_unknown_inputs(target: Target) -> int:
    """A4: 500,000 inputs that the model does not know, under an idempotency key"""
    members = b",".join(b'"name%d":%d' % (number, number) for number in range(490_000))
    return target.create(b"{" + members + b"}", "demo/echo", Idempotency_Key="load")[0]


def long_output(target: Target) -> int:
    """A4: a text that comes back, read again; 50 MB of answers"""
    status, body = target.create(b'{"text":"' + b"y" * (12 * MIB) + b'"}', Prefer="wait=30")
    if status not in (200, 201, 202):
        return status
    return target.request("GET", "/v1/predictions/" + json.loads(body)["id"])[0]


def long_url(target: Target) -> int:
    """A5: an input URL of 30 MiB of %41"""
    return target.create(b'{"file":"http://a.example/' + b"%41" * (10 * MIB) + b'"}')[0]


def slow_bodies(target: Target) -> int:
    """A6: a body of 31 MiB that comes in eight pieces with pauses; several at once do it together"""
    pieces = [b'{"version":"demo/echo","input":{"text":"', *[b"x" * (4 * MIB - 100)] * 7, b'"}}']
    return target.request("POST", "/v1/predictions", *pieces, pause=0.2)[0]


def pages(target: Target) -> int:
    """A7: a page of all that the others left"""
    return target.request("GET", "/v1/predictions")[0]


def pages_with_logs(target: Target) -> int:
    """A7"""
    return target.request("GET", "/v1/predictions?include=logs")[0]


SHAPES: Final[tuple[Send, ...]] = (
    escapes,
    escapes_in_metadata,
    spaces_in_range,
    a_million_faults,
    array_of_numbers,
    too_many_numbers,
    empty_objects,
    too_many_empty_objects,
    deep_lists,
    long_text,
    long_text_of_escapes,
    many_names,
    many_unknown_inputs,
    long_output,
    long_url,
    slow_bodies,
    pages,
    pages_with_logs,
)
RIGHT: Final[dict[str, frozenset[int]]] = {
    "escapes": frozenset({400}),
    "escapes_in_metadata": frozenset({422}),
    "spaces_in_range": frozenset({200, 400, 416}),
    "a_million_faults": frozenset({422}),
    "too_many_numbers": frozenset({413}),
    "too_many_empty_objects": frozenset({413}),
    "long_url": frozenset({413, 422}),
    "pages": frozenset({200}),
    "pages_with_logs": frozenset({200}),
}
CREATED: Final = frozenset({200, 201, 202})
BUSY: Final = frozenset({429, 503})
"""What each answers; where nothing is said, CREATED. In a crowd any may be BUSY."""

_files: dict[int, str] = {}


def target_file(target: Target) -> str:
    """The path of an output file, made once for each server."""
    if target.port not in _files:
        status, body = target.create(b'{"file":"data:text/plain,hello"}', Prefer="wait=50")
        assert status in CREATED, body
        made = json.loads(body)
        while not made.get("output"):
            time.sleep(0.1)
            made = json.loads(target.request("GET", f"/v1/predictions/{made['id']}")[1])
        _files[target.port] = made["output"]["file"].split(f":{target.port}", 1)[1]
    return _files[target.port]


def is_right(name: str, status: int, *, crowded: bool = False) -> bool:
    """Whether a shape was answered as it should be."""
    return status in RIGHT.get(name, CREATED) or (crowded and status in BUSY)


def named() -> Iterator[tuple[str, Any]]:
    """All shapes by name."""
    for shape in SHAPES:
        yield shape.__name__, shape
