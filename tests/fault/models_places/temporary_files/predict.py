"""Leaves much in a temporary folder, what it gives out too."""

import os
import tempfile

from cog import BaseRunner, Path


class Runner(BaseRunner):
    def run(self, prompt: str) -> Path:
        folder = Path(tempfile.mkdtemp())
        (folder / "frames.raw").write_bytes(os.urandom(300_000))
        out = folder / "out.png"
        out.write_text(prompt)
        return out
