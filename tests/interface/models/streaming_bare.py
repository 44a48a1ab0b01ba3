from typing import Iterator

import cog


@cog.streaming
def run() -> Iterator[str]:
    yield "a"
