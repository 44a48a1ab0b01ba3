"""Naps, so that a run is always in flight; may tell of its dreams, so that some runs have published output."""

import asyncio
from collections.abc import AsyncIterator

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, seconds: float = 0.2, dreams: int = 0, letters: int = 5) -> AsyncIterator[str]:
        """`letters` is the length of the last word: a long one needs room on the disk."""
        for n in range(dreams):
            yield f"dream {n}"
            await asyncio.sleep(seconds / (dreams + 1))
        await asyncio.sleep(seconds / (dreams + 1))
        print("slept")
        yield "awake".ljust(letters, "!")
