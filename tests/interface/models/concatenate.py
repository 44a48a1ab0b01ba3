from cog import BaseRunner, ConcatenateIterator


class Runner(BaseRunner):
    def run(self, text: str = "to be") -> ConcatenateIterator[str]:
        yield from text
