"""Says many words, as large and as fast as asked."""

import time

from cog import BasePredictor, ConcatenateIterator


class Predictor(BasePredictor):
    def predict(self, count: int = 100, size: int = 10, delay: float = 0.0) -> ConcatenateIterator[str]:
        """Each word begins with its number."""
        for number in range(count):
            time.sleep(delay)
            yield f"{number} ".ljust(size, "x")
