"""Decides which addresses may be connected to, by one table of our own.

`ipaddress.is_global` is not used: its answer differs between Python versions, and it calls NAT64, 6to4, fec0::/10,
::127.0.0.1 and multicast addresses global (measured on 3.11.7). For IPv6 the table works the other way: only global
unicast space is allowed, without its reserved parts.

Source: IANA special-purpose address registries (RFC 6890 and successors).
"""

import ipaddress
from collections.abc import Iterable
from functools import cache
from typing import Final

import msgspec

from halley.errors import AddressRefused, Unusable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WEB_PORTS: Final = frozenset({80, 443})
PUBLIC: Final = "public"

# each network with its description in messages
_CLOSED_V4: Final = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT, also used for cloud metadata",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud host's agent",
    "169.254.0.0/16": "link-local, also cloud metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112 sink",
    "192.52.193.0/24": "multicast tunnelling",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112 sink",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved or broadcast",
}
_OPEN_V6: Final = "2000::/3"
_CLOSED_V6: Final = {
    "2001::/23": "reserved for protocols (Teredo, ORCHID and others)",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4, which may lead to a private IPv4 address",
    "2620:4f:8000::/48": "AS112 sink",
    "3fff::/20": "documentation",
}
# outside 2000::/3 everything is refused; these entries only give a clearer message
_NAMED_V6: Final = {
    "::1/128": "loopback",
    "::/128": "this host",
    "::ffff:0:0/96": "an IPv4 address in IPv6 form",
    "::/96": "an IPv4 address in IPv6 form",
    "64:ff9b::/96": "NAT64, which may lead to a private IPv4 address",
    "64:ff9b:1::/48": "NAT64, which may lead to a private IPv4 address",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the operator's allow-list. `network` None means every public address; `port` None every port."""

    network: Network | None
    port: int | None

    def matches(self, address: Address, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is None:
            return why_not_public(address) is None
        return address.version == self.network.version and address in self.network


def parse_allowed(text: str) -> Allowed:
    """Read `10.0.0.5:8080`, `10.1.0.0/16:443`, `[::1]:80`, `[fd00::/8]:*` or `public:8443`.

    A network allows every address in it, including the private ones inside `0.0.0.0/0`; `public:PORT` allows one more
    port for public addresses only.

    Raises:
        ValueError: it is none of these; the message gives the valid forms.
    """
    host, colon, port_text = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        if not colon or (":" in host and not bracketed):
            raise ValueError(text)
        port = None if port_text == "*" else _port(port_text)
        if host == PUBLIC:
            return Allowed(network=None, port=port)
        return Allowed(network=ipaddress.ip_network(host.strip("[]"), strict=False), port=port)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address with a port. "
            "Write 10.0.0.5:8080, 10.1.0.0/16:443, [::1]:80, [fd00::/8]:* or public:8443."
        ) from None


class AddressRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows: public addresses on ports 80 and 443, the allow-list, and `origins`: hosts with ports
    that may have any address, because the operator configured them by name.
    """

    allowed: tuple[Allowed, ...] = ()
    schemes: frozenset[str] = frozenset({"http", "https"})
    origins: frozenset[tuple[str, int]] = frozenset()

    def check(self, address: Address, port: int) -> None:
        """Raises:
        AddressRefused: this address and port may not be connected to.
        """
        if any(line.matches(address, port) for line in self.allowed):
            return
        reason = why_not_public(address)
        if reason is not None:
            raise AddressRefused(
                f"The address {address} is not reachable from here ({reason}). "
                f"The operator can allow it: egress.allow = [{_written(address, port)!r}]."
            )
        if port not in WEB_PORTS:
            raise _closed_port(port)

    def check_port(self, port: int) -> None:
        """Refuse a port that is allowed at no address, so that no name must be resolved.

        Raises:
            AddressRefused: the port is refused for every address.
        """
        if port not in WEB_PORTS and not any(line.port in (None, port) for line in self.allowed):
            raise _closed_port(port)


def rules_from(allow: Iterable[str], *, http: bool = True) -> AddressRules:
    """Make rules from the settings `egress.allow` and `egress.http`.

    Raises:
        Unusable: a line of the allow-list is malformed.
    """
    schemes = frozenset({"http", "https"}) if http else frozenset({"https"})
    try:
        return AddressRules(allowed=tuple(parse_allowed(line) for line in allow), schemes=schemes)
    except ValueError as error:
        raise Unusable(f"egress.allow: {error}") from error


def why_not_public(address: Address) -> str | None:
    """Why an address is not public, in a few words; None for a public one."""
    closed_v4, open_v6, closed_v6, named_v6 = _tables()
    if isinstance(address, ipaddress.IPv4Address):
        return next((why for network, why in closed_v4 if address in network), None)
    if address in open_v6:
        return next((why for network, why in closed_v6 if address in network), None)
    return next((why for network, why in named_v6 if address in network), "not global unicast")


def canonical(text: str) -> Address | None:
    """Return the address that a resolver would read from this text, in any spelling; None for a name.

    IPv4 may have one to four parts, each decimal, octal or hexadecimal: `2130706433`, `0177.0.0.1`, `0x7f.1`. An IPv4
    address inside IPv6 stays IPv6, and is refused as such.

    Raises:
        ValueError: it looks like a number but is not an address.
    """
    if ":" in text:
        if "%" in text:
            raise ValueError(f"{text!r} names a network interface; that is not allowed.")
        return ipaddress.IPv6Address(text)
    parts = text.removesuffix(".").split(".")
    if not _is_numeric(parts[-1]):
        return None
    if len(parts) > 4:
        raise ValueError(f"{text!r} is not an IPv4 address.")
    numbers = [_number(part, text) for part in parts]
    *high, low = numbers
    if any(number > 255 for number in high) or low >= 256 ** (5 - len(numbers)):
        raise ValueError(f"{text!r} is not an IPv4 address.")
    value = low + sum(number << (24 - 8 * place) for place, number in enumerate(high))
    return ipaddress.IPv4Address(value)


def _is_numeric(part: str) -> bool:
    return part.isdigit() or part[:2].lower() == "0x"


def _number(part: str, whole: str) -> int:
    try:
        if not part.isascii() or "_" in part or part[:1] in "+-":
            raise ValueError(part)
        if part[:2].lower() == "0x":
            return int(part[2:] or "0", 16)
        return int(part, 8) if part.startswith("0") and part != "0" else int(part)
    except ValueError:
        raise ValueError(f"{whole!r} is not an IPv4 address.") from None


def _closed_port(port: int) -> AddressRefused:
    return AddressRefused(
        f"Port {port} is not allowed, only 80 and 443. "
        f"The operator can allow it: egress.allow = [{f'{PUBLIC}:{port}'!r}]."
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65_536:
        raise ValueError(text)
    return int(text)


def _written(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


_Table = tuple[tuple[Network, str], ...]


@cache
def _tables() -> tuple[_Table, ipaddress.IPv6Network, _Table, _Table]:
    # parsed at first use: commands without outbound requests do not need the forty networks
    return (_parsed(_CLOSED_V4), ipaddress.IPv6Network(_OPEN_V6), _parsed(_CLOSED_V6), _parsed(_NAMED_V6))


def _parsed(table: dict[str, str]) -> _Table:
    return tuple((ipaddress.ip_network(network), why) for network, why in table.items())
