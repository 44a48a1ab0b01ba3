from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, text: str | None = None) -> str:
        return repr(text)
