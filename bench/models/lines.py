"""Logs lines at a pace."""

import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, lines: int = 1000, per_second: float = 1000.0) -> int:
        began = time.perf_counter()
        for number in range(lines):
            if (delay := began + number / per_second - time.perf_counter()) > 0:
                time.sleep(delay)
            print(f"line {number} of {lines}: the step took {delay:.6f} s")
        return lines
