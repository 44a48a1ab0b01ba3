from typing import Optional

from cog import Path


class Runner:
    def setup(self, weights: Optional[Path] = None) -> None:
        self.said = sorted(entry.name for entry in weights.iterdir())[0]

    def run(self) -> str:
        return self.said
