import asyncio

from cog import BaseRunner, concurrent


class Runner(BaseRunner):
    async def setup(self) -> None:
        self.inside = 0
        self.both = asyncio.Event()

    @concurrent(max=4)
    async def run(self) -> str:
        self.inside += 1
        if self.inside == 2:
            self.both.set()
        await self.both.wait()
        return "both inside"
