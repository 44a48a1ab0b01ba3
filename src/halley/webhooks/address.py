"""Parses a webhook URL: the URL to send to, a form for logs, and the credentials for the receiver."""

import base64
import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import msgspec

from halley.errors import AddressRefused
from halley.webhooks.ports import HttpSender

_UNFIT: Final = re.compile(r"[\x00-\x20\x7f\\]")  # URL parsers treat the backslash differently
_PORTS: Final = {"http": 80, "https": 443}
_NO_URL: Final = "must be an http or https URL"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a webhook URL. Only `url` and `authorization` may contain a secret of the caller."""

    url: str  # without user name and password
    authorization: str | None  # the header made from user name and password
    endpoint: str  # host:port; attempts at once are limited per endpoint
    scheme: str
    shown: str  # for logs: without user name, password and query


def read_address(url: str) -> Address:
    """Parse a webhook's URL.

    Raises:
        ValueError: it is not valid; the message says what it must be.
    """
    if _UNFIT.search(url):
        raise ValueError(_NO_URL)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(_NO_URL) from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ValueError(_NO_URL)
    userinfo, _, netloc = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        url=urlunsplit(parts._replace(netloc=netloc, fragment="")),
        authorization=_basic(userinfo) if userinfo else None,
        endpoint=f"{host}:{port or _PORTS[parts.scheme]}",
        scheme=parts.scheme,
        shown=urlunsplit(SplitResult(parts.scheme, netloc, parts.path, "", "")),
    )


def _basic(userinfo: str) -> str:
    # Source: RFC 7617; browsers and HTTP clients build the header in the same way
    name, _, password = userinfo.partition(":")
    return "Basic " + base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()


class Receivers:
    """Checks which URLs a create may name."""

    def __init__(self, http_sender: HttpSender, *, limit_bytes: int, http: bool, is_loopback_open: bool) -> None:
        self._http_sender = http_sender
        self._limit_bytes = limit_bytes
        self._http = http
        self._is_loopback_open = is_loopback_open

    def fault(self, url: object) -> str | None:
        """Why nothing can be sent there, or None. Does not resolve the name, which may change with each attempt."""
        if not isinstance(url, str):
            return "must be a string"
        # the length is checked first, so that later checks handle short text only
        if len(url) > self._limit_bytes or len(url.encode("utf-8", "replace")) > self._limit_bytes:
            return f"must be at most {self._limit_bytes} bytes (setting limits.webhook_url_bytes)"
        try:
            address = read_address(url)
            if address.scheme == "http" and not self._http and not self._is_own_machine(address):
                return "must be an https URL (the operator can allow http: setting webhooks.http)"
            self._http_sender.check_url(address.url)
        except AddressRefused as error:
            return f"cannot be reached from here. {error}"
        except ValueError as error:
            return str(error)
        return None

    def _is_own_machine(self, address: Address) -> bool:
        """Loopback traffic cannot be intercepted. Whether the address is allowed is checked by `egress`."""
        host = address.endpoint.rpartition(":")[0].rstrip(".")
        is_loopback = host == "[::1]" or host.startswith("127.") or host.rpartition(".")[2] == "localhost"
        return self._is_loopback_open and is_loopback
