from cog import BaseRunner


class Runner(BaseRunner):
    def predict(self) -> str:
        return "predict"

    def run(self) -> str:
        return "run"
