from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(min_length=2, max_length=4)) -> str:
        return text
