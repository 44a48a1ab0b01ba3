from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        print("one", end="")
        print(" two", end="")
        return text
