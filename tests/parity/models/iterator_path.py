import tempfile
from typing import Iterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, count: int) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp())
        for number in range(count):
            path = folder / "same-name.txt"
            path.write_text(f"frame {number}")
            yield path
