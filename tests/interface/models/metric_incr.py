from cog import BaseRunner


class Runner(BaseRunner):
    def run(self) -> str:
        for _ in range(5):
            self.record_metric("tokens", 2, mode="incr")
        self.record_metric("seconds", 0.5, "incr")
        return "done"
