from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, number: float) -> float:
        return number / 3
