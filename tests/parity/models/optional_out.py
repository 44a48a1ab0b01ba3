from typing import Optional

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> Optional[str]:
        return text or None
