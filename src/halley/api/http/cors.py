"""Answers a browser's CORS preflight request: whether a page may send a request. Source: Fetch standard.

The header names that a page wants to send are returned unchanged: libraries change the headers that they add with each
release, and the page's origin is checked instead. The only credential among the headers is the key, which the page must
know already.
"""

import re
from collections.abc import Container, Mapping
from typing import Final

from halley.api.http.asgi import Headers

_LONGEST_NAMES: Final = 8192  # bytes
_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*+")
_USUAL: Final = (
    b"authorization, content-type, prefer, cancel-after, idempotency-key, if-none-match, last-event-id,"
    b" user-agent, x-halley-expose-aborted, x-request-id"
)
_USUAL_FOR_LINKS: Final = b"authorization, cache-control, if-none-match, last-event-id, range"
_SECONDS: Final = (b"access-control-max-age", b"600")
_VARY: Final = (b"vary", b"Access-Control-Request-Headers")


def preflight(headers: Mapping[bytes, bytes], origins: Container[bytes]) -> Headers:
    """For routes that listed origins may use; another header says whether the origin is listed."""
    is_listed = b"*" in origins or headers.get(b"origin") in origins
    return [
        (b"access-control-allow-methods", b"GET, HEAD, POST, PATCH, PUT, DELETE, QUERY"),
        (b"access-control-allow-headers", (_asked(headers) if is_listed else b"") or _USUAL),
        _SECONDS,
        _VARY,
    ]


def shared_preflight(headers: Mapping[bytes, bytes]) -> Headers:
    """For links that any page may fetch."""
    return [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
        (b"access-control-allow-headers", _asked(headers) or _USUAL_FOR_LINKS),
        _SECONDS,
        _VARY,
    ]


def _asked(headers: Mapping[bytes, bytes]) -> bytes:
    names = headers.get(b"access-control-request-headers", b"").strip()
    return names if len(names) <= _LONGEST_NAMES and _NAMES.fullmatch(names) else b""
