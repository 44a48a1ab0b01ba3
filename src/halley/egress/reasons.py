"""Descriptions of network errors for users: no exception names, and no text that the other side sent."""

import re
from typing import Final

_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")
_WORDS: Final = {  # by the name of the class: the client library and what is below it have the same ones
    "ConnectTimeout": "no connection was made in time",
    "PoolTimeout": "no connection was free in time",
    "ReadTimeout": "no answer came in time",
    "WriteTimeout": "the request could not be sent in time",
    "TimeoutException": "it took too long",
    "ReadError": "the connection broke",
    "WriteError": "the connection broke",
    "CloseError": "the connection broke",
    "NetworkError": "the connection broke",
    "LocalProtocolError": "the request cannot be sent as HTTP",
    "UnsupportedProtocol": "the URL does not begin http:// or https://",
    "InvalidURL": "the URL is not valid",
    "ProxyError": "the proxy refused",
    "DecodingError": "the answer cannot be decompressed",
    "TooManyRedirects": "it redirects too often",
}
_NO_ANSWER: Final = "it closed the connection without a whole answer"
NO_TLS: Final = "it does not speak HTTPS"
_NO_HTTP: Final = "its answer is not valid HTTP"


def reason(error: Exception) -> str:
    """The words for an error of the HTTP client, without a full stop."""
    for kind in type(error).__mro__:
        if kind.__name__ == "ConnectError":  # the system's or our own words: refused, no such name, a certificate
            text = str(error)
            return NO_TLS if "WRONG_VERSION_NUMBER" in text else _connect_words(text)
        if kind.__name__ == "RemoteProtocolError":
            closed = any(word in str(error).lower() for word in ("closed", "disconnected", "eof"))
            return _NO_ANSWER if closed else _NO_HTTP
        if kind.__name__ in _WORDS:
            return _WORDS[kind.__name__]
    return "the connection broke"


def _connect_words(text: str) -> str:
    return _ERRNO.sub("", text).strip().rstrip(".") or "no connection could be made"


def broke_off(shown: str, size_bytes: int, total_bytes: int | None) -> str:
    """An incomplete download, without a full stop. `total_bytes` None: the size is unknown."""
    of = "" if total_bytes is None else f" of {total_bytes}"
    return f"the download of {shown} broke off after {size_bytes}{of} bytes"
