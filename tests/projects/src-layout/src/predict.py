import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from cog import BasePredictor, Input
from helpers.text import shout


class Predictor(BasePredictor):
    def predict(self, text: str = Input(description="what to shout")) -> str:
        return shout(text)
