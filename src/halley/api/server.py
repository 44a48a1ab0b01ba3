"""The HTTP server: uvicorn with our limits, and without its signal handling."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Generator
from typing import Final

import anyio
from uvicorn.config import Config
from uvicorn.server import Server

from halley.api.application import Api
from halley.api.direct_create import DirectCreates
from halley.api.direct_protocol import DirectProtocol
from halley.api.http.uvicorn_inside import missing_in_uvicorn
from halley.api.protocol import GuardedProtocol
from halley.api.shortcut import ShortCut
from halley.errors import Unusable
from halley.settings import Settings

_log: Final = logging.getLogger(__name__)
_BACKLOG: Final = 4096
_TICKS_PER_SWEEP: Final = 10  # uvicorn ticks ten times a second
_LAST_ANSWERS_SECONDS: Final = 30


class UvicornServer(Server):
    """Runs until `stop`. The composition root handles signals: uvicorn would raise a caught one again after
    shutdown.
    """

    def __init__(self, config: Config, api: Api) -> None:
        super().__init__(config)
        self._api = api
        self.is_up: Final = anyio.Event()
        self.addresses: list[tuple[str, int]] = []  # where it listens; the actual port if 0 was requested

    def stop(self) -> None:
        """Accept nothing new, answer waiting requests, finish running answers, and return from `serve`."""
        self._api.draining = True
        self._api.release_waiting()
        for connection in self._connections():
            connection.cut_stuck_stream()
        self.should_exit = True

    def stop_now(self) -> None:
        """Return from `serve` without finishing answers."""
        self.should_exit = self.force_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`.

        Raises:
            Unusable: it cannot listen at the address.
        """
        bound = sockets or [listen(self.config.host, self.config.port)]
        self.addresses = [one.getsockname()[:2] for one in bound]
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(self._api.parts.hub.run())
            await super().serve(bound)
            waiting.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # as uvicorn does, but with a time limit for the handshake, which ends before a protocol gets the connection
        config, loop = self.config, asyncio.get_running_loop()
        seconds = None if config.ssl is None else self._api.parts.limits.header_seconds

        def connection() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state={}
            )
            return made

        self.servers = [
            await loop.create_server(
                connection, sock=one, ssl=config.ssl, ssl_handshake_timeout=seconds, backlog=config.backlog
            )
            for one in sockets or ()
        ]
        self.started = True
        self.is_up.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SWEEP == 0:
            self.sweep(anyio.current_time())
        return await super().on_tick(counter)

    def sweep(self, now: float) -> None:
        """Close connections whose clients are too slow."""
        for connection in self._connections():
            connection.check_deadlines(now)

    def _connections(self) -> list[GuardedProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, GuardedProtocol)]


def make_server(settings: Settings, api: Api, tls: ssl.SSLContext | None = None) -> UvicornServer:
    """A server for this application, HTTPS with `tls`; it listens only after `serve`."""
    missing = missing_in_uvicorn()
    protocol: type | str = "httptools"
    if missing:
        from importlib.metadata import version

        _log.warning(
            "uvicorn %s lacks %s: running without header limits, deadlines and the fast path for polls. "
            "Install the uvicorn version that Halley requires.",
            version("uvicorn"),
            ", ".join(missing),
        )
    else:
        members = {"api": api, "limits": settings.limits, "shortcut": ShortCut(api), "direct": DirectCreates(api)}
        protocol = type("Protocol", (DirectProtocol,), members)
    config = Config(
        api,
        host=settings.server.host,
        port=settings.server.port,
        loop="none",
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        ssl_context_factory=None if tls is None else lambda _config, _usual: tls,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    return UvicornServer(config, api)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        Unusable: it cannot be opened; the message says why.
    """
    try:
        # as bytes: for text Python loads its tables of all Unicode names, half a megabyte
        found = socket.getaddrinfo(
            host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unusable(
            f"Cannot listen at {host}:{port}: {error.strerror or error}. "
            "Is another server running there? Choose another address with --host and --port."
        ) from error
