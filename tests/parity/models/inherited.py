from cog import BasePredictor


class Shared(BasePredictor):
    def setup(self):
        self.words = ["from", "the", "base"]

    def predict(self, text: str) -> str:
        return " ".join([*self.words, text])


class Predictor(Shared):
    pass
