"""Like a codeformer: an output folder beside the code that each run empties first."""

import os
import shutil

from cog import BaseRunner, Path

from downloading import fetch, linger

HERE = os.path.dirname(os.path.abspath(__file__))


class Runner(BaseRunner):
    def setup(self) -> None:
        fetch("codeformer.pth", os.path.join(HERE, "weights", "CodeFormer"))

    def run(self, prompt: str) -> Path:
        shutil.rmtree(os.path.join(HERE, "output"), ignore_errors=True)
        os.makedirs(os.path.join(HERE, "output"))
        restored = os.path.join(HERE, "output", "restored.png")
        with open(restored, "w") as file:
            file.write(prompt)
        linger()
        return Path(restored)
