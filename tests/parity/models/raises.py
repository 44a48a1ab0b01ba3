from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        print("before")
        raise ValueError("no such " + text)
