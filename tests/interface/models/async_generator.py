import asyncio
from typing import AsyncIterator


class Runner:
    async def run(self) -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number
