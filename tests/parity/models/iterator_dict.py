from typing import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> Iterator[dict]:
        for number in range(count):
            yield {"number": number}
