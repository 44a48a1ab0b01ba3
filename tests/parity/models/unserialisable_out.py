from typing import Any

from cog import BasePredictor


class Thing:
    pass


class Predictor(BasePredictor):
    def predict(self, text: str) -> Any:
        return Thing()
