"""Strict parsing of a URL, before any name is resolved."""

import re
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from halley.egress.addresses import Address, AddressRules, canonical
from halley.errors import AddressRefused

URL_LIMIT_BYTES: Final = 8192  # a longer text is data, not an address
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_LONGEST_HOST: Final = 253  # characters, as in DNS; IP addresses are shorter
_PORTS: Final = {"http": 80, "https": 443}
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_LOOPBACK: Final = ("127.0.0.1", "::1")


class EgressTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The target of a URL. `host` is lower case and canonical; `address` is set if the host is an IP address."""

    scheme: str
    host: str
    port: int
    path: str  # with the query, percent-encoded ASCII, begins with "/"
    address: Address | None

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The URL for messages: without the query, which may hold a signature."""
        return f"{self.scheme}://{self.host_header}{self.path.partition('?')[0]}"


def parse_target(url: str, rules: AddressRules) -> EgressTarget:
    """Parse an absolute URL, and refuse everything that can be refused without resolving a name.

    Raises:
        AddressRefused: the message says what is wrong, and never contains userinfo or query.
    """
    if len(url) > URL_LIMIT_BYTES:
        raise AddressRefused(f"The URL is longer than {URL_LIMIT_BYTES} characters.")
    if _FORBIDDEN.search(url):
        raise AddressRefused("The URL holds spaces, control characters or a backslash; percent-encode them.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused("The URL is malformed: its host or port cannot be read.") from error
    if parts.scheme not in rules.schemes:
        wanted = " or ".join(sorted(rules.schemes))
        raise AddressRefused(f"The URL must begin with {wanted}, not with {parts.scheme[:20]!r}.")
    if "@" in parts.netloc:
        raise AddressRefused("The URL holds a user name or password; that is not allowed. Use a signed URL instead.")
    if port == 0 or parts.netloc.endswith(":"):
        raise AddressRefused("The URL is malformed: its port is empty or 0.")
    host, address = _host(parts.hostname or "", bracketed="[" in parts.netloc)
    target = EgressTarget(
        scheme=parts.scheme,
        host=host,
        port=port or _PORTS[parts.scheme],
        path=_quoted(parts.path or "/") + ("?" + _quoted(parts.query) if parts.query else ""),
        address=address,
    )
    _check_written(target, rules)
    return target


def follow(target: EgressTarget, location: str, rules: AddressRules) -> EgressTarget:
    """Return the target of a redirect, which may be relative; it is checked like the first.

    Raises:
        AddressRefused: as `parse_target`.
    """
    base = f"{target.scheme}://{target.host_header}{target.path}"
    try:
        return parse_target(urljoin(base, location.partition("#")[0]), rules)
    except ValueError as error:
        raise AddressRefused(f"{target.shown} redirects to a malformed URL.") from error


def _check_written(target: EgressTarget, rules: AddressRules) -> None:
    if (target.host, target.port) in rules.origins:
        return
    if target.address is not None:
        rules.check(target.address, target.port)
    elif target.host.rstrip(".").rpartition(".")[2] == "localhost":
        # RFC 6761: such names always mean this machine, so they are not resolved
        _check_any([address for text in _LOOPBACK if (address := canonical(text))], target.port, rules)
    else:
        rules.check_port(target.port)


def _check_any(addresses: list[Address], port: int, rules: AddressRules) -> None:
    refusal: AddressRefused | None = None
    for address in addresses:
        try:
            rules.check(address, port)
        except AddressRefused as error:
            refusal = refusal or error
        else:
            return
    if refusal is not None:
        raise refusal


def _host(host: str, *, bracketed: bool) -> tuple[str, Address | None]:
    """Return the host in canonical form, and its address if the host is an IP address."""
    if not host:
        raise AddressRefused("The URL has no host.")
    if len(host) > _LONGEST_HOST:
        raise AddressRefused(
            f"The host {host[:100]!r} is not a valid name: it has more than {_LONGEST_HOST} characters."
        )
    if not host.isascii():
        host = _punycode(host)
    host = host.lower()
    try:
        address = canonical(host)
    except ValueError as error:
        raise AddressRefused(f"The host {host[:100]!r} is not a valid address.") from error
    if bracketed != (address is not None and address.version == 6):
        raise AddressRefused(f"The host {host[:100]!r} is not valid: brackets are for IPv6 addresses.")
    if address is not None:
        return str(address), address
    if len(host) > _LONGEST_HOST or not _NAME.fullmatch(host):
        raise AddressRefused(f"The host {host[:100]!r} is not a valid name.")
    return host, None


def _punycode(host: str) -> str:
    import idna  # big tables, rarely needed

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise AddressRefused("The host is not a valid international name.") from error


def _quoted(text: str) -> str:
    # existing escapes stay; only characters that a request line must not contain are escaped
    return _NOT_ASCII.sub(lambda run: quote(run[0], safe="", errors="replace"), text)
