from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, value: Any) -> Any:
        return {"back": value, "more": [1, "2", None, True, 0.5]}
