"""The provider for services with the Replicate HTTP API keeps the promises of dispatch.ports.Provider."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from halley.testing.providers import BROKEN, ECHO, FAIL, STREAM, WAIT, ListeningProvider, OutlivingProviderContract
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import echo, fail, spell, wait
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import FakeService, Style

MODELS = {f"test/{ECHO}": echo, f"test/{STREAM}": spell, f"test/{FAIL}": fail, f"test/{WAIT}": wait}
SLOTS = {ECHO: 2, STREAM: 1, FAIL: 1, WAIT: 1}


class TestReplicate(OutlivingProviderContract):
    style: Style = "replicate"

    @pytest.fixture(autouse=True)
    async def service(self) -> AsyncIterator[None]:
        async with serve(FakeService(MODELS, style=self.style)) as server:
            self.url = server.url
            yield

    @asynccontextmanager
    async def provider(self) -> AsyncIterator[ListeningProvider]:
        rules = {"limits": SLOTS, "broken": {BROKEN: "no weights"}}
        async with open_provider(self.url, self.style, rules=rules) as provider:
            yield provider

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        return self.provider()


class TestCometApi(TestReplicate):
    style = "cometapi"


class TestHalley(TestReplicate):
    style = "halley"
    sends_again = True
