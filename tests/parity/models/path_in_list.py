from typing import List

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, documents: List[Path]) -> str:
        return "|".join(document.read_text() for document in documents)
