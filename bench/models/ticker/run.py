"""Says words at a pace, or nothing for a while."""

import asyncio

from cog import BaseRunner, ConcatenateIterator, Input


class Runner(BaseRunner):
    async def run(
        self,
        quiet_seconds: float = Input(description="How long to say nothing first.", default=0.0),
        words: int = Input(description="How many words to say.", default=1),
        per_second: float = Input(description="How fast.", default=100.0),
    ) -> ConcatenateIterator[str]:
        """Wait, then say the words, each when its time has come."""
        await asyncio.sleep(quiet_seconds)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(words):
            delay = began + number / per_second - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            yield f"word {number} "
