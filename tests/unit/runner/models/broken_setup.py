from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self):
        print("loading weights")
        raise RuntimeError("no weights")

    def predict(self) -> str:
        return "never"
