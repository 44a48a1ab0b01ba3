from cog import BaseRunner


class Runner(BaseRunner):
    def run(self) -> str:
        self.record_metric("temperature", 0.5)
        self.record_metric("temperature", 0.7)
        self.record_metric("steps", 3, mode="replace")
        return "done"
