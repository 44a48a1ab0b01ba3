"""Writes a letter, slowly: an output that is a file."""

import tempfile
import time

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, seconds: float = 0.5, text: str = "", times: int = 1) -> Path:
        """The file is there when the time is over."""
        time.sleep(seconds)
        letter = Path(tempfile.mkdtemp()) / "letter.txt"
        letter.write_text(text * times)
        return letter
