from cog import BaseRunner, Path


class Runner(BaseRunner):
    def setup(self, weights: Path) -> None:
        self.said = f"{type(weights).__name__} {weights} {len(weights.read_bytes())}"

    def run(self) -> str:
        return self.said
