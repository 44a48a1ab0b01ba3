"""Opens the event streams of runs: at the service itself, and at other hosts that are known to belong to it."""

from collections.abc import AsyncGenerator, Callable
from typing import Final, Protocol

from halley.egress import OriginClient, origin_of
from halley.egress.errors import AddressRefused
from halley.providers.services.outputs import host_of

SILENCE_SECONDS: Final = 60.0  # a stream sends comments while nothing happens

OpenStream = Callable[[str], AsyncGenerator[bytes, None]]


class StreamClient(Protocol):
    """Reads a stream under the address rules of `egress`, without any credential."""

    def stream(self, url: str, *, silence_seconds: float) -> AsyncGenerator[bytes, None]: ...


class StreamSources:
    """Opens streams. The token of the service is sent to none of them: the URL of a stream itself grants access."""

    def __init__(self, origin: OriginClient, *, hosts: tuple[str, ...], client: StreamClient | None) -> None:
        """`hosts` are others than the service's own, with their port unless it is the usual one."""
        self._origin = origin
        self._hosts = frozenset(host.lower() for host in hosts)
        self._client = client

    def open(self, url: str) -> AsyncGenerator[bytes, None]:
        """The chunks of the stream.

        Raises:
            AddressRefused: the URL names another host.
        """
        if self._client is not None and host_of(url) in self._hosts:
            return self._client.stream(url, silence_seconds=SILENCE_SECONDS)
        if origin_of(url.partition("?")[0]) != self._origin.host:
            raise AddressRefused("Its URL names a host that is not known as one of the service's.")
        return self._origin.stream(url, silence_seconds=SILENCE_SECONDS)
