import asyncio


class Runner:
    async def setup(self):
        self.inside = 0
        self.both = asyncio.Event()

    async def run(self) -> str:
        self.inside += 1
        if self.inside == 2:
            self.both.set()
        await self.both.wait()
        return "both"
