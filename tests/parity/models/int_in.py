from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, number: int) -> str:
        return f"{type(number).__name__} {number}"
