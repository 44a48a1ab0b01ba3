from typing import List

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> List[str]:
        return [text]
