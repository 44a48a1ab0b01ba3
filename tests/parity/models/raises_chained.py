from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> int:
        try:
            return int(text)
        except ValueError as error:
            raise RuntimeError("cannot read the number") from error
