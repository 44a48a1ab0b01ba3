"""Takes any value and says little of it."""

from typing import Any

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, value: Any = Input(default=None), size: int = Input(default=0)) -> str:
        """The kind of the value; with `size`, so many letters."""
        return "x" * size or type(value).__name__
