from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> int:
        for number in range(count):
            print("line", number)
        return count
