"""Refuses requests that our parser accepts although the RFC forbids them: another parser could read them differently.

The parser itself refuses: two lengths, a length beside chunks, folded lines, bare line feeds, spaces before colons.
Source: RFC 9112, sections 2.3, 3.2, 6.1 and 7.1.2.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Za-z:.%_~-]{2,100}\]|[0-9A-Za-z._~!$&'()*+,;=%-]{0,255})(?::[0-9]{0,5})?", re.ASCII
)
_LENGTHS: Final = (b"content-length", b"transfer-encoding")
# entries; when there are so many, all are dropped, since a client may send any number of Host headers
_REMEMBERED: Final = 1000


class Fault(NamedTuple):
    """Why a request is refused."""

    status: HTTPStatus
    title: str
    detail: str


def _bad(detail: str) -> Fault:
    return Fault(HTTPStatus.BAD_REQUEST, "Bad request", detail)


_NO_HOST: Final = _bad("An HTTP/1.1 request must have the header Host.")
_HOSTS: Final = _bad("The header Host must occur exactly once.")
_UNFIT_HOST: Final = _bad("The header Host is neither a name nor an address, with or without a port.")
_OLD_CHUNKS: Final = _bad("Transfer-Encoding cannot be used with HTTP/1.0.")
_NO_END: Final = _bad("The last Transfer-Encoding is not `chunked`: the end of the body cannot be determined.")
_CODING: Final = Fault(
    HTTPStatus.NOT_IMPLEMENTED, "Not implemented", "The only supported Transfer-Encoding is `chunked`."
)
_VERSION: Final = Fault(
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP version not supported", "Use HTTP/1.1, or HTTP/1.0."
)


class Framing:
    """Checks the headers of requests. `fit_hosts` are values of `Host` that were found valid."""

    def __init__(self) -> None:
        self.fit_hosts: Final[set[bytes]] = set()

    def fault(self, version: str, headers: Sequence[tuple[bytes, bytes]]) -> Fault | None:
        """Why this request must be refused, or None. Names are in lower case."""
        hosts = 0
        for name, value in headers:
            if name == b"host":
                hosts += 1
                if value not in self.fit_hosts and not self._is_fit(value):
                    return _UNFIT_HOST
            elif name == b"transfer-encoding":
                if version == "1.0":
                    return _OLD_CHUNKS
                codings = value.lower().rpartition(b",")
                if codings[2].strip() != b"chunked":
                    return _NO_END
                if codings[1]:
                    return _CODING
        if hosts != 1:
            if hosts:
                return _HOSTS
            if version == "1.1":
                return _NO_HOST
        return None if version in ("1.1", "1.0") else _VERSION

    def _is_fit(self, host: bytes) -> bool:
        if _HOST.fullmatch(host) is None:
            return False
        if len(self.fit_hosts) >= _REMEMBERED:
            self.fit_hosts.clear()
        self.fit_hosts.add(host)
        return True


def as_asked(url: bytes, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a request whose target is a whole URL: its host is used, not the header's (RFC 9112, 3.2.2)."""
    scheme, mark, rest = url.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        return headers
    authority = re.split(rb"[/?#]", rest, maxsplit=1)[0].rpartition(b"@")[2]
    return [(name, authority if name == b"host" else value) for name, value in headers]


def body_head(method: bytes, version: str, headers: Sequence[tuple[bytes, bytes]], *, keeps: bool) -> bytes | None:
    """A minimal request head with the body length of these headers; None if they announce no body.

    `keeps`: the connection stays open after the body.
    """
    lengths = [pair for pair in headers if pair[0] in _LENGTHS and pair[1] != b"0"]
    if not lengths:
        return None
    stays = (b"connection", b"keep-alive" if keeps else b"close")
    lines = [b"%b: %b\r\n" % pair for pair in (stays, *lengths)]
    return b"%b / HTTP/%b\r\n%b\r\n" % (method, version.encode(), b"".join(lines))


class AnyLength(int):
    """The length of an answer of unknown length: uvicorn counts it down, and it never reaches zero."""

    def __lt__(self, other: object) -> bool:
        return False

    def __sub__(self, other: int) -> "AnyLength":
        return self


ANY_LENGTH: Final = AnyLength(0)
