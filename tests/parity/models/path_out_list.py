import tempfile
from typing import List

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, count: int) -> List[Path]:
        folder = Path(tempfile.mkdtemp())
        paths = [folder / f"{number}.txt" for number in range(count)]
        for path in paths:
            path.write_text(path.stem)
        return paths
