from base import SizedPredictor


class LargePredictor(SizedPredictor):
    SIZE = 5

    def load(self):
        return [number**2 for number in range(self.SIZE)]
