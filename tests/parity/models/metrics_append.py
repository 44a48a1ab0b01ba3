from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> int:
        for number in range(count):
            self.record_metric("losses", 1 / (number + 1), mode="append")
        return count
