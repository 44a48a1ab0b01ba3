"""Takes as long as it is told to; says something each second, or nothing at all. Many run at once."""

import asyncio

from cog import BaseRunner, Input


class Runner(BaseRunner):
    async def run(
        self,
        seconds: float = Input(description="How long it takes.", default=1.0, ge=0.0, le=3600.0),
        says: bool = Input(description="Whether it logs a line each second.", default=False),
    ) -> str:
        """Take the time."""
        for second in range(int(seconds)):
            if says:
                print(f"{second} of {seconds:g}", flush=True)
            await asyncio.sleep(1)
        await asyncio.sleep(seconds - int(seconds))
        return f"took {seconds:g} s"
