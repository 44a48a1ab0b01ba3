from typing import AsyncIterator

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, count: int) -> AsyncIterator[str]:
        for number in range(count):
            print("step", number)
            yield f"part {number}"
