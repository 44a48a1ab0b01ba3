from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        raise ValueError("first line\nsecond line\n\u00e9\u4e16")
