import multiprocessing as mp

from cog import BasePredictor, Input

from work import count


class Predictor(BasePredictor):
    def setup(self):
        self.pool = mp.get_context("fork").Pool(processes=2)

    def predict(self, text: str = Input(description="words")) -> dict:
        return dict(zip(text.split(), self.pool.map(count, text.split())))
