import sys

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self):
        print("from setup: belongs to no prediction")

    def predict(self, text: str) -> str:
        print("to stdout:", text)
        sys.stdout.flush()
        print("to stderr:", text, file=sys.stderr)
        return text
