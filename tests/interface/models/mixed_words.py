from cog import BasePredictor


class Runner(BasePredictor):
    def run(self, text: str) -> str:
        return text + "!"
