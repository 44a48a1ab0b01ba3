import tempfile
from typing import Iterator

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, frames: int = Input(default=3, ge=1, le=10)) -> Iterator[Path]:
        for number in range(frames):
            with tempfile.NamedTemporaryFile(suffix=".txt", delete=False) as file:
                file.write(f"frame {number}".encode())
            yield Path(file.name)
