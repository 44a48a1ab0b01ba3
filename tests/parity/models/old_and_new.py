from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, text: str) -> str:
        return "run"

    def predict(self, text: str) -> str:
        return "predict"
