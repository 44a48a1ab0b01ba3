from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> str:
        return "0123456789" * count
