from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, words: list[str]) -> str:
        return "-".join(words)
