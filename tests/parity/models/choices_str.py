from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, colour: str = Input(choices=["red", "green"], default="red")) -> str:
        return f"{type(colour).__name__} {colour}"
