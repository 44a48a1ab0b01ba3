from typing import TypedDict

from cog import BasePredictor


class Point(TypedDict):
    x: int
    y: int


class Predictor(BasePredictor):
    def predict(self, point: Point) -> int:
        return point["x"] * point["y"]
