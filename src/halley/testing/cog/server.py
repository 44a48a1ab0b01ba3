"""The fake Cog server. How its two lines differ was seen in coglet 0.23.1, Cog 0.16.12 and 0.9.26."""

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from halley.testing.cog.models import Model, Running

Line = Literal["stream", "coglet", "bare", "old"]
"""coglet with event streams, coglet without them, coglet without a schema, and the line before coglet."""


class Unsent(ValueError):
    """What a model raises that is to look like one whose process is gone."""


class FakeCog:
    """One model on one port. `document` is its OpenAPI document."""

    def __init__(self, model: Model, document: dict[str, Any], *, line: Line = "coglet", slots: int = 1) -> None:
        self.model = model
        self.document = document
        self.line = line
        self.slots = slots
        self.word: str | None = None  # of the health, instead of the usual one
        self.setup_logs = ""
        self.begun: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.refusals = 0  # so many runs are refused although there is a slot
        self.cuts: deque[Literal["at once", "later"]] = deque()  # connections of runs that break
        self.cut_after: int | None = None  # a stream breaks after so many events, once
        self.lag_after: int | None = None  # each stream of a run with more events loses some, and ends
        self.runs: dict[str, Running] = {}
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append((method, path))
        self.tokens.add(headers.get("authorization", ""))
        if method == "PUT":
            return await self._put(path.rpartition("/")[2], json.loads(body), headers, reader, writer)
        return await _answer(writer, *self._told(method, path))

    def _told(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        if path == "/health-check":
            return 200, self._health()
        if path == "/openapi.json":
            return (503, {"error": "OpenAPI schema not available"}) if self.line == "bare" else (200, self.document)
        if method == "POST" and path.endswith("/cancel"):
            run = self.runs.get(path.split("/")[2])
            if run is None or run.task is None:
                return 404, {}
            run.task.cancel()
            return 200, {}
        return 404, {"detail": "Not Found"}

    def _health(self) -> dict[str, Any]:
        usual = "BUSY" if len(self.runs) >= self.slots else "READY"
        setup = {"started_at": "2026-11-20T10:00:00Z", "status": "succeeded", "logs": self.setup_logs}
        version = {} if self.line == "old" else {"version": {"coglet": "0.23.1"}}
        return {"status": self.word or usual, "setup": setup, **version}

    async def _put(
        self,
        run_id: str,
        body: dict[str, Any],
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        is_stream = "event-stream" in headers.get("accept", "")
        is_invalid = self.line != "bare" and not isinstance(body.get("input"), dict)
        run = self.runs.get(run_id)
        if run is not None and not (self.line == "old" and is_invalid):
            return await self._follow(run, reader, writer) if is_stream else await _answer(writer, 202, run.state())
        if is_invalid:
            return await _answer(writer, 422, {"detail": [{"loc": ["body", "input"], "msg": "is not of type object"}]})
        if self.word in {"STARTING", "SETUP_FAILED"}:
            return await _answer(writer, 503, {"error": "Setup has not finished yet", "status": "failed"})
        if self.refusals or len(self.runs) >= self.slots:
            self.refusals = max(self.refusals - 1, 0)
            return await _answer(writer, 409, {"error": "At capacity", "status": "failed"})
        self.bodies.append(body)
        run = self._begin(run_id, body["input"])
        if self.cuts:
            await asyncio.sleep(0 if self.cuts.popleft() == "at once" else 0.15)
            return False  # the run continues
        return await (self._follow if is_stream else self._hold)(run, reader, writer)

    def _begin(self, run_id: str, given: dict[str, Any]) -> Running:
        self.begun[run_id] += 1
        run = self.runs[run_id] = Running(run_id, given)
        run.task = asyncio.ensure_future(self._run(run))
        return run

    async def _run(self, run: Running) -> None:
        try:
            output = await self.model(run)
        except asyncio.CancelledError:
            end: dict[str, Any] = {"status": "canceled"}
        except ValueError as error:
            # the newer line has no logs in the answer of a run that failed
            logs = {"logs": ""} if self.line in {"coglet", "bare"} else {}
            has_prefix = self.line != "old" and not isinstance(error, Unsent)
            prefix = "Prediction failed: Prediction failed: ValueError: " if has_prefix else ""
            end = {"status": "failed", "error": f"{prefix}{error}", **logs}
        else:
            end = {"status": "succeeded", "output": output}
        self.runs.pop(run.id, None)
        run.over(end)

    async def _hold(self, run: Running, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        leaving = asyncio.ensure_future(reader.read(1))
        while run.end is None:
            if await _has_left(run, leaving):
                return self._left(run)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await _answer(writer, 200, run.end)
        return False

    async def _follow(self, run: Running, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: hello\n\n")
        leaving, count = asyncio.ensure_future(reader.read(1)), 0
        while True:
            if self.lag_after is not None and len(run.events) > self.lag_after:
                writer.write(b'event: error\ndata: {"error":"SSE stream lagged; events were dropped"}\n\n')
                leaving.cancel()
                await writer.drain()
                return False  # the run continues
            for name, data in run.events[count:]:
                count += 1
                writer.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
            if run.end is not None:
                break
            if self.cut_after is not None and count >= self.cut_after:
                self.cut_after = None
                leaving.cancel()
                await writer.drain()
                return False  # the run continues
            if await _has_left(run, leaving):
                return self._left(run)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await writer.drain()
        writer.close()
        return False

    def _left(self, run: Running) -> bool:
        if self.line != "old" and run.task is not None:
            run.task.cancel()
        return False

    async def close(self) -> None:
        """End all connections and runs."""
        tasks = [*self._tasks, *(run.task for run in self.runs.values() if run.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _has_left(run: Running, leaving: asyncio.Future[bytes]) -> bool:
    """Wait until the run has changed or its client has left; whether it has left."""
    changed = asyncio.ensure_future(run.changed.wait())
    either: set[asyncio.Future[Any]] = {changed, leaving}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    changed.cancel()
    run.changed.clear()
    if leaving.done():
        leaving.exception()  # a reset is one way to leave
    return leaving.done()


async def _answer(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> bool:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    return True


@asynccontextmanager
async def serve(cog: FakeCog, port: int = 0) -> AsyncIterator[FakeCog]:
    """The server on a free port, or on this one, while the block runs."""
    server = await asyncio.start_server(cog.handle, "127.0.0.1", port)
    cog.port = server.sockets[0].getsockname()[1]
    try:
        yield cog
    finally:
        server.close()
        await cog.close()
        await server.wait_closed()
