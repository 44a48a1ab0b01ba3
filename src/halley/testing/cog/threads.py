"""Serves fake Cog servers in a thread, for tests that wait for processes."""

from contextlib import AsyncExitStack

from halley.testing.cog.server import FakeCog, serve
from halley.testing.threaded import Threaded


class ThreadedCogs(Threaded):
    """The servers, each on a port of its own. A context manager."""

    def __init__(self, *cogs: FakeCog) -> None:
        super().__init__()
        self.cogs = cogs

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            for cog in self.cogs:
                await stack.enter_async_context(serve(cog))
            await self._until_left()
