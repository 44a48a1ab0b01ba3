from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        self.record_metric("value", 1)
        self.record_metric("value", "a text")
        return text
