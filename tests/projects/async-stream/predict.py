import asyncio

from cog import AsyncConcatenateIterator, BasePredictor, Input, current_scope


class Predictor(BasePredictor):
    async def setup(self) -> None:
        self.lock = asyncio.Lock()

    async def predict(
        self,
        prompt: str = Input(description="Prompt"),
        top_k: int = Input(default=50, ge=-1),
    ) -> AsyncConcatenateIterator[str]:
        count = 0
        for letter in prompt:
            async with self.lock:
                await asyncio.sleep(0)
            count += 1
            yield letter.swapcase()
        current_scope().record_metric("token_output_count", count)
