import sys

from cog import BasePredictor, Input

try:
    from tqdm import tqdm
except ModuleNotFoundError:

    def tqdm(things):
        things = list(things)
        for number, thing in enumerate(things, 1):
            yield thing
            print(f"\r{100 * number // len(things):3d}%", end="", file=sys.stderr)
        print(file=sys.stderr)


class Predictor(BasePredictor):
    def predict(self, steps: int = Input(default=4, ge=1, le=20)) -> int:
        total = 0
        for step in tqdm(range(steps)):
            total += step
        return total
