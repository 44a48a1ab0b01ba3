"""Several large files, so that saving them takes long enough to be interrupted."""

import hashlib
import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, count: int = 4, megabytes: int = 24) -> list[Path]:
        paths = []
        for n in range(count):
            block = hashlib.sha256(str(n).encode()).digest() * 32768  # 1 MiB
            with tempfile.NamedTemporaryFile(prefix=f"big-{n}-", suffix=".bin", delete=False) as file:
                for _ in range(megabytes):
                    file.write(block)
            paths.append(Path(file.name))
        return paths
