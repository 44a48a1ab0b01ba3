"""Serves the fake service on a port of loopback, with its faults: in this loop, or in a thread of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import format_datetime

from halley.testing.replicate.faults import ServiceFault
from halley.testing.replicate.service import Asked, FakeService
from halley.testing.threaded import Threaded


class FakeServer:
    """One listening socket."""

    def __init__(self, service: FakeService) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        """The root of its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            while await self._exchange(reader, writer):
                pass
            writer.close()
            await writer.wait_closed()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or is to see a broken connection; or the server ends
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        asked = Asked(method=method, path=path, headers=headers, body=b"")
        fault = self._service.fault(asked) or ServiceFault(acts=True)
        if fault.cut == "body":
            self._service.note(asked, fault)
            raise ConnectionResetError
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method=method, path=path, headers=headers, body=body)
        self._service.note(asked, fault)
        usual = self._service.answer(asked) if fault.acts else b"HTTP/1.1 500 Said\r\ncontent-length: 0\r\n\r\n"
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault.cut == "answer":
            raise ConnectionResetError
        first, _, rest = (usual if fault.raw is None else fault.raw).partition(b"\r\n")
        date = format_datetime(self._service.now(), usegmt=True).encode()
        more = "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items()).encode()
        data = first + b"\r\ndate: " + date + b"\r\n" + more + rest
        writer.write(data[: len(data) - 20] if fault.cut == "middle" else data)
        await writer.drain()
        return fault.cut is None and headers.get("connection") != "close"

    async def close(self) -> None:
        """End all connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serve(service: FakeService) -> AsyncIterator[FakeServer]:
    """The service on a free port while the block runs."""
    found = FakeServer(service)
    server = await asyncio.start_server(found.handle, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await found.close()
        await server.wait_closed()


class ThreadedServer(Threaded):
    """The service in a thread, for tests that wait for processes. A context manager."""

    def __init__(self, service: FakeService) -> None:
        super().__init__()
        self.service = service
        self.url = ""

    @property
    def root(self) -> str:
        """Its origin."""
        return self.url.removesuffix("/v1")

    async def _serve(self) -> None:
        async with serve(self.service) as server:
            self.url = server.url
            await self._until_left()
