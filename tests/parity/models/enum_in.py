from enum import Enum

from cog import BasePredictor


class Colour(str, Enum):
    RED = "red"
    GREEN = "green"


class Predictor(BasePredictor):
    def predict(self, colour: Colour) -> str:
        return colour.value
