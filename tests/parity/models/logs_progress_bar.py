import sys

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> int:
        for number in range(count):
            sys.stderr.write(f"\r{number + 1}/{count}")
        sys.stderr.write("\n")
        return count
