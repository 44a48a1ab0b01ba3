"""A small load program of our own: one request over and over, on some connections, for some seconds."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools
import uvloop

GRACE_SECONDS = 30  # for answers that are under way when the time is over


@dataclass(frozen=True)
class Request:
    """GET, or POST where there is a body. `headers` are lines, `Name: value`."""

    url: str
    headers: tuple[str, ...] = ()
    body: bytes | None = None
    content_type: str = "application/json"

    def encoded(self):
        parts = urlsplit(self.url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{'GET' if self.body is None else 'POST'} {path} HTTP/1.1", f"Host: {parts.netloc}", *self.headers]
        if self.body is not None:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (self.body or b"")


@dataclass
class Counted:
    """Answers by status; `lost` are connections that the server ended or refused."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0

    @property
    def good(self):
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    def failures(self):
        """What went wrong, most frequent first; empty if nothing did."""
        bad = [f"{count} times HTTP {status}" for status, count in self.statuses.most_common() if status >= 300]
        return ", ".join([*bad, *([f"{self.lost} connections lost"] if self.lost else [])])


class _Client(asyncio.Protocol):
    """One connection: the next request leaves when the answer before is whole."""

    def __init__(self, data, counted, until):
        self.data, self.counted, self.until = data, counted, until
        self.loop = asyncio.get_running_loop()
        self.ended = self.loop.create_future()
        self.transport = None
        self.parser = None

    def connection_made(self, transport):
        self.transport = transport
        self._next()

    def data_received(self, data):
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.counted.lost += 1
            self._end()

    def connection_lost(self, _):
        if not self.ended.done():
            self.counted.lost += 1
            self._end()

    def on_message_complete(self):
        self.counted.statuses[self.parser.get_status_code()] += 1
        if self.loop.time() < self.until:
            self.loop.call_soon(self._next)  # not inside the parser that it replaces
        else:
            self._end()

    def _next(self):
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(self.data)

    def _end(self):
        self.transport.close()
        if not self.ended.done():
            self.ended.set_result(None)


async def _run(request, connections, seconds):
    loop = asyncio.get_running_loop()
    parts = urlsplit(request.url)
    counted, until, data = Counted(), loop.time() + seconds, request.encoded()

    async def connection():
        try:
            transport, client = await loop.create_connection(
                lambda: _Client(data, counted, until), parts.hostname, parts.port
            )
        except OSError:
            counted.lost += 1
            return
        try:
            await asyncio.wait_for(client.ended, seconds + GRACE_SECONDS)
        except TimeoutError:
            counted.lost += 1
        finally:
            transport.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return counted


def load(request, *, connections, seconds):
    return uvloop.run(_run(request, connections, seconds))
