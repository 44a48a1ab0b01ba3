from cog import BasePredictor


class TooShort(Exception):
    def __init__(self, text):
        super().__init__(f"{text!r} is too short")


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        raise TooShort(text)
