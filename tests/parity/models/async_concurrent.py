import asyncio

from cog import BaseRunner, concurrent


class Runner(BaseRunner):
    @concurrent(max=4)
    async def run(self, text: str) -> str:
        await asyncio.sleep(0)
        return text + text
