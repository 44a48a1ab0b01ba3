import sys

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        sys.stdout.buffer.write(b"bytes to the buffer\n")
        sys.stdout.buffer.flush()
        return text
