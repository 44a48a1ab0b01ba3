"""Like a flux: weights beside the code, an absolute name under /tmp for the picture."""

import os

from cog import BaseRunner, Path

from downloading import fetch, linger

OUT = "/tmp/out-0.webp" if os.environ["ABSOLUTE"] == "1" else "out-0.webp"


class Runner(BaseRunner):
    def setup(self) -> None:
        here = os.path.dirname(os.path.abspath(__file__))
        fetch("flux.safetensors", os.path.join(here, "model-cache"))

    def run(self, prompt: str) -> list[Path]:
        with open(OUT, "w") as file:
            file.write(prompt)
        linger()
        return [Path(OUT)]
