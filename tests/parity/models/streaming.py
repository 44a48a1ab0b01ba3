from typing import Iterator

from cog import BaseRunner, streaming


class Runner(BaseRunner):
    @streaming
    def run(self, count: int) -> Iterator[str]:
        for number in range(count):
            yield str(number)
