from cog import BaseRunner


class Runner(BaseRunner):
    def setup(self) -> None:
        print("this goes to the log of the replica")
        self.word = "set up"

    def run(self) -> str:
        return self.word
