import asyncio

from cog import BaseRunner


class Runner(BaseRunner):
    async def setup(self) -> None:
        await asyncio.sleep(0)
        self.words = "made in setup"

    async def run(self) -> str:
        await asyncio.sleep(0)
        return self.words
