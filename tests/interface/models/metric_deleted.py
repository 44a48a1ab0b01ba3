from cog import BaseRunner


class Runner(BaseRunner):
    def run(self) -> str:
        self.record_metric("a", 1)
        del self.scope.metrics["a"]
        self.record_metric("a", "one")
        self.record_metric("b.c", 2)
        self.record_metric("b.c", None)
        self.scope.metrics.delete("never.set")
        return "done"
