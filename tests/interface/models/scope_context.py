from cog import BaseRunner


class Runner(BaseRunner):
    def run(self) -> dict:
        return self.scope.context
