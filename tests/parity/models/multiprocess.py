from concurrent.futures import ThreadPoolExecutor

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, numbers: str) -> int:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(int, numbers.split(",")))
