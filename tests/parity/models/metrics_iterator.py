from typing import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> Iterator[str]:
        for number in range(count):
            self.record_metric("yielded", 1, mode="incr")
            yield str(number)
