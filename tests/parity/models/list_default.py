from typing import List

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, words: List[str] = Input(default=["a", "b"])) -> str:
        words.append("!")
        return "".join(words)
