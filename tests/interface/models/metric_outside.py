from cog import BaseRunner


class Runner(BaseRunner):
    def setup(self) -> None:
        self.record_metric("a", 1)

    def run(self) -> str:
        return "done"
