"""Gives out one relative name, ten times as slowly as the others."""

import time

from cog import BaseRunner, Path


class Runner(BaseRunner):
    def run(self, prompt: str) -> list[Path]:
        with open("out-0.webp", "w") as file:
            file.write(prompt)
        time.sleep(0.1)
        return [Path("out-0.webp")]
