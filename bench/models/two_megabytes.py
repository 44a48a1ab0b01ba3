"""Gives a file of two megabytes that nothing can compress."""

import os
import pathlib
import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self) -> Path:
        file = pathlib.Path(tempfile.mkdtemp(), "asset.bin")
        file.write_bytes(os.urandom(2_000_000))
        return Path(file)
