from typing import Literal

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, colour: Literal["red", "green"]) -> str:
        return colour
