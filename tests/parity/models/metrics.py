from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        self.record_metric("tokens", len(text))
        self.record_metric("ratio", 0.25)
        self.record_metric("engine", "small")
        self.record_metric("cached", True)
        return text
