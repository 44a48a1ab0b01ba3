"""The same no-op as demo/noop, for cog's own server."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, prompt: str = "") -> str:
        return prompt
