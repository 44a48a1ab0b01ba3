from typing import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> Iterator[str]:
        for number in range(count):
            yield f"part {number}"
        raise RuntimeError("out of parts")
