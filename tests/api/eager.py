"""A server whose connections know the head of a create before they have served one, and count what begins directly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httptools

from api.test_server import running, world_on_a_port
from api.world import World
from halley.api.direct_create import DirectCreates, HeadMeaning
from halley.api.direct_protocol import DirectProtocol
from halley.api.http.asgi import Exchange
from halley.api.resources.pending_create import PendingCreate
from halley.api.server import UvicornServer


class CountingCreates(DirectCreates):
    """Counts the creates that began directly."""

    begun = 0

    def begin(self, head: HeadMeaning, body: bytes) -> tuple[PendingCreate, Exchange] | None:
        create = super().begin(head, body)
        self.begun += create is not None
        return create


class _Head:
    """What a parser finds in a request."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.parser = httptools.HttpRequestParser(self)
        self.is_usual = False  # it keeps its connection

    def on_headers_complete(self) -> None:
        self.is_usual = self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


class EagerProtocol(DirectProtocol):
    """Learns each head before it is used."""

    is_eager: ClassVar[bool] = True

    def data_received(self, data: bytes) -> None:
        if self.is_eager and data.startswith(b"POST ") and self._is_same_again():
            self._head = self._learned(data) or self._head
        super().data_received(data)

    def _learned(self, data: bytes) -> Any:
        head = _Head()
        try:
            head.parser.feed_data(data)
        except httptools.HttpParserError:
            return None
        if not head.is_usual:
            return None
        parts = httptools.parse_url(head.url)
        scope = {
            "path": parts.path.decode(),
            "raw_path": parts.path,
            "query_string": parts.query or b"",
            "headers": head.headers,
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
        }
        return self.direct.learn(data, scope)


@asynccontextmanager
async def eager(world: World, *, is_eager: bool = True) -> AsyncIterator[tuple[UvicornServer, CountingCreates]]:
    """A running server; with `is_eager` it begins each create directly that can be begun so."""
    await world.keys.verify(world.token)
    async with running(world) as server:
        creates = CountingCreates(world.api)
        members = {"api": world.api, "limits": world.settings.limits, "direct": creates, "is_eager": is_eager}
        protocol: Any = type("Protocol", (EagerProtocol,), members)
        protocol.shortcut = server.config.http_protocol_class.shortcut  # type: ignore[union-attr]
        server.config.http_protocol_class = protocol
        yield server, creates


@asynccontextmanager
async def eagerly(world: World) -> AsyncIterator[UvicornServer]:
    """In place of `running`."""
    async with eager(world) as (server, _):
        yield server


@asynccontextmanager
async def eager_world(**groups: Any) -> AsyncIterator[tuple[World, UvicornServer, CountingCreates]]:
    """A world whose server is eager, and whose waiting requests are answered."""
    world = await world_on_a_port(**groups)
    waiters = asyncio.ensure_future(world.hub.run())
    async with eager(world) as (server, creates):
        yield world, server, creates
    waiters.cancel()
