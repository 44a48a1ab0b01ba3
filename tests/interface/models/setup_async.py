import asyncio

from cog import BaseRunner


class Runner(BaseRunner):
    async def setup(self) -> None:
        await asyncio.sleep(0)
        self.lock = asyncio.Lock()

    async def run(self) -> str:
        async with self.lock:
            return "same loop"
