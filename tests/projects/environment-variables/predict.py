import json
import os

from cog import BasePredictor

with open("data/settings.json") as file:
    SETTINGS = json.load(file)
STYLE = os.environ["STYLE"]


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return " ".join(text.split()[: SETTINGS[STYLE]]) + os.environ.get("EMPTY", "?")
