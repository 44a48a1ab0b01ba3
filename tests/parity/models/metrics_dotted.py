from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        self.record_metric("timing.load", 0.5)
        self.record_metric("timing.run", 1.5)
        return text
