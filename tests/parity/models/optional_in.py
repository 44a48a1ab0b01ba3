from typing import Optional

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: Optional[str] = None, times: Optional[int] = None) -> str:
        return f"{text!r} {times!r}"
