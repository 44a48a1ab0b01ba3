"""The provider that a job file describes keeps the promises of dispatch.ports.Provider."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from halley.testing.http_jobs import PREDICTIONS, open_job
from halley.testing.providers import BROKEN, ECHO, FAIL, STREAM, WAIT, ListeningProvider, OutlivingProviderContract
from halley.testing.replicate.scripts import echo, fail, spell, wait
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import FakeService

MODELS = {f"test/{ECHO}": echo, f"test/{STREAM}": spell, f"test/{FAIL}": fail, f"test/{WAIT}": wait}
SLOTS = {ECHO: 2, STREAM: 1, FAIL: 1, WAIT: 1}


class TestHttpJob(OutlivingProviderContract):
    @pytest.fixture(autouse=True)
    async def service(self) -> AsyncIterator[None]:
        async with serve(FakeService(MODELS)) as server:
            self.url = server.url
            yield

    @asynccontextmanager
    async def provider(self) -> AsyncIterator[ListeningProvider]:
        rules = {"limits": SLOTS, "broken": {BROKEN: "no weights"}}
        async with open_job(PREDICTIONS, self.url, rules=rules) as provider:
            yield provider

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        return self.provider()
