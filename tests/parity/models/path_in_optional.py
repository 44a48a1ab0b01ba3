from typing import Optional

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, document: Optional[Path] = Input(description="may be left out", default=None)) -> str:
        return "nothing" if document is None else document.read_text()
