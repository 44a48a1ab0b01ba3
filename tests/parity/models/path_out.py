import os
import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, text: str) -> Path:
        path = os.path.join(tempfile.mkdtemp(), "answer.txt")
        with open(path, "w") as answer:
            answer.write(text)
        return Path(path)
