"""An answer with very many values does not hold up other work: it is looked through in batches."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from halley.dispatch.ports import OutputPart, Progress
from halley.dispatch.upstreams import UpstreamTarget
from halley.providers.cog.exchange import CogExchange
from halley.providers.services import batches, outputs
from halley.providers.services.api import Answer
from halley.providers.services.batches import with_yields
from halley.testing.cog.models import ITEMS as PARTS
from halley.testing.cog.models import Running, document
from halley.testing.cog.opening import open_provider as open_cog
from halley.testing.cog.server import FakeCog
from halley.testing.cog.server import serve as serve_cog
from halley.testing.http_jobs import PREDICTIONS, open_job
from halley.testing.providers import outputs as outputs_of
from halley.testing.providers import within, work_of
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import FakeService

pytestmark = pytest.mark.anyio

ITEMS = 6000
"""An answer of less than 100 kB, with more values than are looked through at once."""
JOB = PREDICTIONS.replace('output = "text"', 'output = "json"')


class Turns:
    """Counts what is done in each turn of the event loop."""

    def __init__(self) -> None:
        self._now = 0
        self.done: Counter[int] = Counter()

    def note(self) -> None:
        self.done[self._now] += 1

    async def count(self) -> None:
        while True:
            self._now += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    turns = Turns()
    task = asyncio.ensure_future(turns.count())
    try:
        yield turns
    finally:
        task.cancel()


async def much(run: Running) -> Any:
    del run
    return ["x"] * ITEMS


@pytest.mark.parametrize("output", [["x"] * ITEMS, ["https://a.example/x"] * ITEMS])
@pytest.mark.parametrize("kind", ["replicate", "http-job", "grows"])
async def test_the_parts_of_an_output_are_given_in_steps(kind: str, output: list[str]) -> None:
    end = Stage(status="succeeded", output=output)
    stages = [Stage(status="processing", output=output), end] if kind == "grows" else [end]
    service = FakeService({"test/echo": lambda _: list(stages)})
    async with serve(service) as server, counted() as turns:
        said: list[Progress] = []

        def emit(part: Progress) -> None:
            turns.note()
            said.append(part)

        opening: Any = open_provider(server.url, "replicate") if kind == "replicate" else open_job(JOB, server.url)
        async with opening as provider:
            handle = await provider.submit(work_of("echo", "a", "p1"))
            assert (await within(provider.follow(handle, emit))).status == "succeeded"
    assert sum(isinstance(part, OutputPart) for part in said) in {1, ITEMS}
    assert max(turns.done.values()) <= 500


async def test_the_parts_of_a_cog_server_are_given_in_steps() -> None:
    async with (
        serve_cog(FakeCog(much, document(PARTS, has_stream=False))) as server,
        open_cog(server) as provider,
        counted() as turns,
    ):
        await provider.find_model(UpstreamTarget(model="test/model"))
        handle = await within(provider.submit(work_of("v", "a", "p1")))
        assert (await within(provider.follow(handle, lambda _: turns.note()))).status == "succeeded"
    assert sum(turns.done.values()) == ITEMS
    assert max(turns.done.values()) <= 500


async def test_an_end_that_comes_while_the_parts_of_a_state_are_made_loses_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    making, has_end = threading.Event(), threading.Event()
    make, read = batches._some, CogExchange._read

    def make_slowly(parts: Iterator[Progress]) -> list[Progress]:
        batch = make(parts)
        if not making.is_set():
            making.set()
            has_end.wait(20)
        return batch

    def note_end(exchange: CogExchange, answer: Answer) -> Any:
        asyncio.get_running_loop().call_later(0.05, has_end.set)
        return read(exchange, answer)

    async def grow(run: Running) -> Any:
        run.output += [str(number) for number in range(ITEMS)]
        while not making.is_set():
            await asyncio.sleep(0.005)
        return list(run.output)

    monkeypatch.setattr(batches, "_some", make_slowly)
    monkeypatch.setattr(CogExchange, "_read", note_end)
    said: list[Progress] = []
    async with serve_cog(FakeCog(grow, document(PARTS, has_stream=False))) as server, open_cog(server) as provider:
        await provider.find_model(UpstreamTarget(model="test/model"))
        handle = await within(provider.submit(work_of("v", "a", "p1")))
        assert (await within(provider.follow(handle, said.append))).status == "succeeded"
    assert outputs_of(said) == [str(number) for number in range(ITEMS)]


async def test_one_part_with_many_links_is_made_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counted() as turns:
        find = outputs.is_url

        def is_url(text: str) -> bool:
            turns.note()
            return find(text)

        monkeypatch.setattr(outputs, "is_url", is_url)
        given = {"files": ["https://a.example/x"] * ITEMS}
        service = FakeService({"test/echo": lambda _: [Stage(status="succeeded", output=given)]})
        async with serve(service) as server, open_job(JOB, server.url) as provider:
            handle = await provider.submit(work_of("echo", "a", "p1"))
            assert (await within(provider.follow(handle, lambda _: None))).status == "succeeded"
    assert len(turns.done) > 1  # the loop went on meanwhile


async def test_the_rows_of_a_list_are_looked_at_in_steps() -> None:
    async with counted() as turns:
        async for _ in with_yields(range(ITEMS)):
            turns.note()
    assert max(turns.done.values()) <= 200
