"""The provider for Cog HTTP servers keeps the promises of dispatch.ports.Provider, with each line of Cog.

It is not one whose runs outlive this process: a Cog server tells the end of a run only to the connection that began it.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from halley.testing.cog.models import ITEMS, TEXT, Model, document, echo, fail, spell, wait
from halley.testing.cog.opening import open_providers
from halley.testing.cog.server import FakeCog, Line, serve
from halley.testing.providers import (
    BROKEN,
    ECHO,
    FAIL,
    STREAM,
    WAIT,
    ListeningProvider,
    ProviderContract,
    logs,
    outputs,
)

MODELS: dict[str, tuple[Model, dict[str, Any]]] = {
    ECHO: (echo, TEXT),
    STREAM: (spell, ITEMS),
    FAIL: (fail, TEXT),
    WAIT: (wait, TEXT),
}
SLOTS = {ECHO: 2, STREAM: 1, FAIL: 1, WAIT: 1}


class TestStreamedCog(ProviderContract):
    line: Line = "stream"

    @pytest.fixture(autouse=True)
    async def servers(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self.cogs = {
                version: await stack.enter_async_context(
                    serve(
                        FakeCog(
                            model,
                            document(output, has_stream=self.line == "stream"),
                            line=self.line,
                            slots=SLOTS[version],
                        )
                    )
                )
                for version, (model, output) in MODELS.items()
            }
            yield

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        return open_providers(self.cogs, limits=SLOTS, broken={BROKEN: "no weights"})


class TestCoglet(TestStreamedCog):
    line = "coglet"

    async def test_items_of_an_iterator_come_in_order_among_the_logs(self, tmp_path: Path) -> None:
        """Without an event stream only states are shown: items are in order, and so are logs."""
        async with self.probe(tmp_path) as probe:
            said, outcome = await probe.run(STREAM, "abcd")
            assert (outputs(said), logs(said), outcome.status) == (["a", "b", "c", "d"], "a\nb\nc\nd\n", "succeeded")


class TestCogletWithoutSchema(TestCoglet):
    line = "bare"


class TestOldCog(TestCoglet):
    line = "old"
