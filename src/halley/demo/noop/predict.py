"""demo/noop: returns the prompt and does nothing else, so that measurements show Halley's own cost."""

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, prompt: str = "") -> str:
        return prompt
