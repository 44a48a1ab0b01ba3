from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, value: Any) -> str:
        return repr(value)
