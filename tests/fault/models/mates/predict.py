"""Runs several at once, some of which end the process or do not end at all."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, how: str = "work", seconds: float = 1.0, gate: str = "") -> AsyncIterator[str]:
        print(f"begun {how} in {os.getpid()}", flush=True)
        if how == "tells":
            yield "first"
        while gate and not os.path.exists(gate):
            await self._nap()
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif how == "leave":
            os._exit(9)
        elif how == "block":
            time.sleep(3600)  # noqa: ASYNC251 - it is the fault
        while how == "ignore":
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                print("not yet", flush=True)
        await asyncio.sleep(seconds)
        yield "done"

    async def _nap(self) -> None:
        await asyncio.sleep(0.02)
