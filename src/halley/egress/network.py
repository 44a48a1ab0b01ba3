"""Connections that can only be made to checked addresses.

The check is part of connecting, below the HTTP client, so no use of the client can bypass it: a name is resolved once,
every resulting address is checked, and the connection goes to one of these addresses. TLS still verifies the name.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import httpcore2

from halley.egress.addresses import Address, AddressRules, canonical
from halley.errors import AddressRefused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_TRIES: Final = 3  # a name with thirty addresses must not cause thirty timeouts


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver; returns addresses as text, best first."""
    look_up = partial(socket.getaddrinfo, host.encode("ascii"), port, type=socket.SOCK_STREAM)
    # each in its own thread, which is abandoned with the request: the event loop has few threads, and unresponsive name
    # servers would soon block all of them
    answers = await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    # on a Python without IPv6, such addresses are not text
    return list(dict.fromkeys(sockaddr[0] for *_, sockaddr in answers if isinstance(sockaddr[0], str)))


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """A network on which only allowed addresses can be reached."""

    def __init__(self, rules: AddressRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a checked address of the host.

        Raises:
            AddressRefused: one of the addresses is not allowed. One is enough: a mixed result is an attack or an error.
            httpcore2.ConnectError: no address, or none that answered.
        """
        addresses = await self._checked(host, port)
        for address in addresses[:-1]:
            try:
                return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        raise AddressRefused("Unix sockets cannot be reached through the outbound network.")

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def _checked(self, host: str, port: int) -> list[Address]:
        written, is_origin = _written(host), (host, port) in self._rules.origins
        if written is not None:
            if not is_origin:
                self._rules.check(written, port)
            return [written]
        try:
            answers = await self._resolve(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(f"the name {host!r} cannot be resolved") from error
        addresses = [address for text in answers if (address := _written(text)) is not None]
        if not addresses or len(addresses) < len(answers):
            raise httpcore2.ConnectError(f"the name {host!r} has no usable address")
        for address in addresses if not is_origin else ():
            self._rules.check(address, port)
        return addresses[:_TRIES]


def _written(text: str) -> Address | None:
    try:
        return canonical(text)
    except ValueError as error:
        raise AddressRefused(f"{text!r} is not a valid address.") from error
