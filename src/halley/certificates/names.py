"""The names under which clients may reach this machine's server."""

import re
import socket
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

import idna

_ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound
_PORT: Final = re.compile(r":\d+$")
# addresses for documentation: a datagram socket that is connected to one sends nothing, but knows its own address
_FAR_AWAY: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def certificate_names(host: str, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names in a certificate for a server at `host`, each once: those of this machine, and `more`.

    `more` are hosts, with or without a port; values that are not host names are left out.
    """
    own = [*_addresses()] if host in _EVERYWHERE else [host]
    wanted = (*_ALWAYS, socket.gethostname(), *own, *more)
    return tuple(dict.fromkeys(name for text in wanted if (name := _name(text)) is not None))


def _name(text: str) -> str | None:
    bare = text.strip().lower()
    bare = bare if bare.count(":") > 1 and not bare.startswith("[") else _PORT.sub("", bare)
    bare = bare.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    try:
        return idna.encode(bare, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None


def _addresses() -> Iterator[str]:
    for family, far in _FAR_AWAY:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))
                yield str(probe.getsockname()[0])
        except OSError:
            continue  # no route with this address family
