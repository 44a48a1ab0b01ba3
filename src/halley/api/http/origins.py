"""Finds the origin and path prefix under which the caller reaches us, and so the variant of an answer.

In this order: the configured public URL; the headers of a trusted proxy; `Host`, if it is loopback, the address of this
connection, or listed in `server.allowed_hosts`; that address. `Host` is not trusted, because clients send their key to
the host of a `next` link. Source: contract sections 2 and 9.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from halley.api.http.asgi import Scope, Variant
from halley.api.http.quirks import profile_of
from halley.settings import Settings

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?", re.ASCII)
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]{1,64}){1,8}", re.ASCII)
_EXPOSE: Final = b"x-halley-expose-aborted"
FORWARDED: Final = (b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix")
_FAMILY: Final = "/replicate"
_REMEMBERED: Final = 2000  # then all are dropped: a client may send any number of Host headers
_REMEMBERED_BYTES: Final = 1000  # of the headers of one request

_Key = tuple[bytes | None, ...]


class Variants:
    """Finds the variant of a request; equal requests get the same object."""

    def __init__(self, settings: Settings) -> None:
        server = settings.server
        self._public = server.public_url and tidy(server.public_url)
        self._allowed = frozenset(host.lower() for host in server.allowed_hosts)
        self._bound = server.host.lower()
        self._listens_at = f"http://{_authority((self._bound, server.port), self._bound)}"
        self._proxies = [_network(text) for text in server.trusted_proxies]
        self._quirks = settings.quirks
        self._by_request: dict[tuple[object, ...], Variant] = {}
        self._by_value: dict[tuple[str, str, bool, bool], Variant] = {}
        self._count = 0

    def of(
        self,
        headers: Mapping[bytes, bytes],
        family: str,
        *,
        scheme: str,
        server: tuple[str, int | None] | None,
        client: tuple[str, int] | None,
    ) -> Variant:
        """The variant of a request with these headers on this connection."""
        forwarded = self.is_proxy(client)
        key = (
            headers.get(b"host"),
            headers.get(b"user-agent"),
            headers.get(_EXPOSE),
            family,
            scheme,
            server,
            tuple([headers.get(name) for name in FORWARDED]) if forwarded else None,
        )
        variant = self._by_request.get(key)
        if variant is None:
            origin = self._public or self._origin(headers, scheme, server, forwarded=forwarded)
            variant = self._make(headers, origin, family)
            if max(len(self._by_request), len(self._by_value)) >= _REMEMBERED:
                self._by_request.clear()
                self._by_value.clear()
            if sum(len(text) for text in (*key[:3], *(key[6] or ())) if text is not None) <= _REMEMBERED_BYTES:
                self._by_request[key] = variant
        return variant

    def of_scope(self, scope: Scope, headers: Mapping[bytes, bytes], family: str) -> Variant:
        """The same for an ASGI scope."""
        return self.of(
            headers,
            family,
            scheme=scope["scheme"],
            server=_pair(scope.get("server")),
            client=_pair(scope.get("client")) if self._proxies else None,  # nothing else depends on it
        )

    def of_base(self, link_base: str | None) -> Variant:
        """The variant for messages without a present request: `link_base` is that of an earlier caller.

        Without it, links use the public URL, or the address where this server listens.
        """
        origin, family = link_base or self._listens_at, ""
        if origin != self._public and origin.endswith(_FAMILY):
            origin, family = origin.removesuffix(_FAMILY), _FAMILY
        return self._make({}, self._public or origin, family)

    def _make(self, headers: Mapping[bytes, bytes], origin: str, family: str) -> Variant:
        profile = profile_of(headers.get(b"user-agent", b"").decode("latin-1"))
        data_urls = self._quirks.data_urls and profile.data_urls and origin.startswith("http://")
        expose = self._quirks.expose_aborted or headers.get(_EXPOSE, b"").strip().lower() in (b"1", b"true")
        value = (origin, family, data_urls, expose)
        variant = self._by_value.get(value)
        if variant is None:
            self._count += 1
            variant = self._by_value[value] = Variant(
                number=self._count, origin=origin, family=family, data_urls=data_urls, expose_aborted=expose
            )
        return variant

    def _origin(
        self, headers: Mapping[bytes, bytes], scheme: str, server: tuple[str, int | None] | None, *, forwarded: bool
    ) -> str:
        prefix = ""
        if forwarded:
            # the last hop is the trusted one; earlier entries come from unknown senders
            host = _last(headers.get(b"x-forwarded-host"))
            proto = _last(headers.get(b"x-forwarded-proto")).lower()
            scheme = proto if proto in ("http", "https") else scheme
            prefix = _prefix(headers.get(b"x-forwarded-prefix"))
            if _HOST.fullmatch(host):
                return f"{scheme}://{host.lower()}{prefix}"
        host = headers.get(b"host", b"").decode("latin-1").strip().lower()
        if self._is_ours(host, server) or (forwarded and _HOST.fullmatch(host)):
            return f"{scheme}://{host}{prefix}"
        return f"{scheme}://{_authority(server, self._bound)}{prefix}"

    def _is_ours(self, host: str, server: tuple[str, int | None] | None) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1]
        if host in self._allowed or name in self._allowed or name == self._bound:
            return True
        if name == "localhost" or name.endswith(".localhost"):
            return True
        bare = name.strip("[]")
        return (server is not None and bare == server[0]) or _is_loopback(bare)

    def is_proxy(self, client: tuple[str, int] | None) -> bool:
        """Whether it is a trusted proxy, whose forwarded headers count."""
        if not self._proxies or client is None:
            return False
        try:
            address = ip_address(client[0])
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def public_path(settings: Settings) -> str:
    """The path of the public URL, as `/halley`; "" without one."""
    url = settings.server.public_url
    return "" if url is None else urlsplit(tidy(url)).path


def tidy(url: str) -> str:
    """The public URL in the form of links: no slash at its end, and no double slash in its path."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{re.sub('//+', '/', rest).rstrip('/')}"


def _prefix(value: bytes | None) -> str:
    prefix = _last(value).rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""


def _last(value: bytes | None) -> str:
    return (value or b"").decode("latin-1").rpartition(",")[2].strip()


def _authority(server: tuple[str, int | None] | None, bound: str) -> str:
    host, port = server or (bound, None)
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _pair(value: object) -> tuple[str, int] | None:
    # ASGI allows lists and None; the key must be hashable
    if not isinstance(value, (list, tuple)) or len(value) != 2:  # not a union type, which would be built at each call
        return None
    return (str(value[0]), value[1])
