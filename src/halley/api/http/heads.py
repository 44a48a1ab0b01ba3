"""The head of an answer as bytes, for what goes past uvicorn's own way of sending."""

from collections.abc import Iterable, Sequence
from typing import Final

from halley.api.http.asgi import Header, Response

_FIT: Final = bytes(byte for byte in range(256) if byte in b"\t\r\n" or (byte >= 0x20 and byte != 0x7F))
_CLOSE: Final = b"connection: close\r\n"
_FIRST: Final = b"content-type: application/json\r\ncontent-length: %d\r\n%b%b%b"
_LAST: Final = b"cache-control: no-store\r\n"


def head_of(status_line: bytes, headers: Iterable[Header], *, keep_alive: bool) -> bytes:
    """Join the head of an answer.

    Raises:
        ValueError: a line break or another control character in a header.
    """
    head = status_line + lines_of(headers)
    return head + b"\r\n" if keep_alive else head + _CLOSE + b"\r\n"


def lines_of(headers: Iterable[Header]) -> bytes:
    """Join headers.

    Raises:
        ValueError: a line break or another control character in a header.
    """
    lines = [b"%b: %b\r\n" % pair for pair in headers]
    joined = b"".join(lines)
    breaks = len(lines)
    if joined.count(b"\n") != breaks or joined.count(b"\r") != breaks or joined.translate(None, _FIT):
        raise ValueError("a header holds a line break or a control character")
    return joined


class JoinedHeaders:
    """The headers of answers with a JSON body that differ only in the end of their `location`, a prediction's id."""

    __slots__ = ("_after", "_before")

    def __init__(self, location: bytes, others: Sequence[Header]) -> None:
        """`location`: what comes before the id. Raises ValueError as `lines_of`."""
        self._before = lines_of([(b"location", location)])[:-2]
        self._after = b"\r\n" + lines_of(others) + _LAST

    def lines(self, prediction_id: str, length: int) -> bytes:
        """All headers but that of the request. `length` is the body's."""
        return _FIRST % (length, self._before, prediction_id.encode(), self._after)


def headers_in(lines: bytes) -> list[Header]:
    """The headers that were joined, without those that every answer with a JSON body gets."""
    pairs = [line.partition(b": ")[::2] for line in lines.split(b"\r\n")[:-1]]
    return [pair for pair in pairs if pair[0] not in (b"content-length", b"cache-control")]


class Starts:
    """The first lines of answers: the status line, and the headers that the server adds to every answer."""

    __slots__ = ("_defaults", "_known")

    def __init__(self) -> None:
        self._defaults: Sequence[Header] = ()
        self._known: dict[bytes, bytes] = {}

    def of(self, status_line: bytes, defaults: Sequence[Header]) -> bytes:
        """Join them, once for each list: the server makes a new one each second, for the date."""
        if defaults is not self._defaults:
            self._defaults, self._known = defaults, {}
        start = self._known.get(status_line)
        if start is None:
            start = self._known[status_line] = status_line + lines_of(defaults)
        return start


def joined(start: bytes, answer: Response, request_id: str, *, keep_alive: bool) -> bytes:
    """A whole answer that has its headers joined."""
    end = b"" if keep_alive else _CLOSE
    return b"%b%bx-request-id: %b\r\n%b\r\n%b" % (start, answer.lines, request_id.encode(), end, answer.body)
