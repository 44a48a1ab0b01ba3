from cog import BaseRunner


class Common(BaseRunner):
    def setup(self):
        self.sign = "+"

    def run(self, text: str) -> str:
        return text + self.sign


class Runner(Common):
    pass
