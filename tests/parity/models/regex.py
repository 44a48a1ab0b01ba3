from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = Input(regex="^[a-z]+$")) -> str:
        return text
