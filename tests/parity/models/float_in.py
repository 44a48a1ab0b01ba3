from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, number: float) -> str:
        return f"{type(number).__name__} {number + 0.5}"
