import asyncio

import cog


class Runner(cog.BaseRunner):
    async def setup(self) -> None:
        self.inside = 0
        self.both = asyncio.Event()

    @cog.concurrent(max=2)
    async def run(self, number: int) -> int:
        self.inside += 1
        if self.inside == 2:
            self.both.set()
        await self.both.wait()
        print("number", number)
        self.record_metric("number", number)
        return number
