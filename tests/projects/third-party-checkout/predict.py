import sys

sys.path.append("./third_party/rhymes")

from cog import BasePredictor

from rhymes.finder import Finder


class Predictor(BasePredictor):
    def setup(self):
        self.finder = Finder(checkpoint="third_party/rhymes/checkpoints/words.txt")

    def predict(self, word: str) -> list:
        return self.finder.find(word)
