from typing import Union

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, value: Union[str, int]) -> str:
        return f"{type(value).__name__} {value}"
