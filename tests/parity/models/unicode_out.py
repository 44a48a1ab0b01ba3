from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        print("log:", text)
        return text[::-1] + " \u00e9 \u4e16\u754c \U0001f600 \x00 end"
