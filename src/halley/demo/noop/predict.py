"""demo/noop: gives the prompt back and does nothing else; what is left to measure is Halley."""

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, prompt: str = "") -> str:
        return prompt
