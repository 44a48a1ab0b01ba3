from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, size: int = Input(choices=[1, 2, 4], default=2)) -> int:
        return size * 10
