from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        if text == "bad":
            raise ValueError("bad input")
        return "fine"
