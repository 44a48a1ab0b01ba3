from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        self.record_metric("got_to", 3)
        raise ValueError("after the metric")
