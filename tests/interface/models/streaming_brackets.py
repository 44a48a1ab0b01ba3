from typing import AsyncIterator

from cog import BaseRunner, streaming


class Runner(BaseRunner):
    @streaming()
    async def run(self) -> AsyncIterator[str]:
        yield "a"
