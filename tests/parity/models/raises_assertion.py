from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        assert text == "right", "text must be right"
        return text
