"""Our providers keep the promises of dispatch.ports.Provider."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from halley.clock import SystemClock
from halley.dispatch.ports import Emit, LogText, Outcome, OutputPart, Work
from halley.providers.echo import EchoProvider
from halley.providers.local import LocalProvider
from halley.replicas.loading import load_source
from halley.testing.providers import (
    BROKEN,
    ECHO,
    FAIL,
    STREAM,
    WAIT,
    ListeningProvider,
    OutlivingProviderContract,
    ProviderContract,
)
from halley.testing.upstream import RemoteProvider, Upstream

MODELS = {
    ECHO: """
import asyncio
from cog import concurrent
class Runner:
    async def setup(self):
        pass
    @concurrent(max=2)
    async def run(self, text: str) -> str:
        print("saying", text)
        await asyncio.sleep(0)
        return text
""",
    STREAM: """
from typing import Iterator
def run(text: str) -> Iterator[str]:
    for letter in text:
        print(letter)
        yield letter
""",
    FAIL: """
def run(text: str) -> str:
    raise ValueError("no such luck")
""",
    WAIT: """
import time
def run(text: str) -> str:
    while True:
        time.sleep(0.01)
""",
    BROKEN: """
class Runner:
    def setup(self):
        raise RuntimeError("no weights")
    def run(self, text: str) -> str:
        return text
""",
}


class TestLocalProvider(ProviderContract):
    @asynccontextmanager
    async def local(self, tmp_path: Path) -> AsyncIterator[ListeningProvider]:
        async with LocalProvider(clock=SystemClock(), environ=os.environ) as provider:
            for version, code in MODELS.items():
                (tmp_path / version).mkdir()
                (tmp_path / version / "run.py").write_text(code)
                provider.add(version, load_source(tmp_path / version))
            yield provider

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        return self.local(tmp_path)


class TestEchoProvider(ProviderContract):
    @asynccontextmanager
    async def echo(self) -> AsyncIterator[ListeningProvider]:
        behaviours = {ECHO: say, STREAM: spell, FAIL: fail, WAIT: wait}
        yield EchoProvider(behaviours, slots={ECHO: 2}, broken={BROKEN: "no weights"})

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        return self.echo()


class TestRemoteProvider(OutlivingProviderContract):
    can_tell = True

    @pytest.fixture(autouse=True)
    def upstream(self) -> None:
        self.elsewhere = Upstream({ECHO: say, STREAM: spell, FAIL: fail, WAIT: wait}, can_tell=self.can_tell)

    @asynccontextmanager
    async def remote(self) -> AsyncIterator[ListeningProvider]:
        slots = {ECHO: 2, STREAM: 1, FAIL: 1, WAIT: 1, BROKEN: 1}
        yield RemoteProvider(self.elsewhere, slots, broken={BROKEN: "no weights"})

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        return self.remote()


class TestRemoteProviderThatCannotTell(TestRemoteProvider):
    can_tell = False


def text_of(work: Work) -> str:
    return str(msgspec.json.decode(work.input)["text"])


def part(text: str, *, more: bool) -> OutputPart:
    return OutputPart(value=msgspec.Raw(msgspec.json.encode(text)), more=more)


async def say(work: Work, emit: Emit) -> Outcome:
    emit(LogText(f"saying {text_of(work)}\n"))
    emit(part(text_of(work), more=False))
    return Outcome(status="succeeded")


async def spell(work: Work, emit: Emit) -> Outcome:
    for letter in text_of(work):
        emit(LogText(f"{letter}\n"))
        emit(part(letter, more=True))
    return Outcome(status="succeeded")


async def fail(work: Work, emit: Emit) -> Outcome:
    return Outcome(status="failed", error="no such luck")


async def wait(work: Work, emit: Emit) -> Outcome:
    await asyncio.Event().wait()
    return Outcome(status="succeeded")
