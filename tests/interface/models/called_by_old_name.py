from cog import BaseRunner


class Other(BaseRunner):
    def run(self, text: str) -> str:
        return "<" + text + ">"


class Runner(BaseRunner):
    def run(self, text: str) -> str:
        return Other().predict(text=text)
