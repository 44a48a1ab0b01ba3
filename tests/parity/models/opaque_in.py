from typing import Annotated

from cog import BasePredictor, Opaque


class Predictor(BasePredictor):
    def predict(self, value: Annotated[dict, Opaque]) -> str:
        return str(sorted(value))
