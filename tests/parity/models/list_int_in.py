from typing import List

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, numbers: List[int]) -> int:
        return sum(numbers)
