from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str = "x", old: int = Input(default=1, deprecated=True)) -> str:
        return text * old
