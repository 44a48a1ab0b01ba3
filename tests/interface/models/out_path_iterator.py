from typing import Iterator

from cog import Path


def run() -> Iterator[Path]:
    file = Path("/tmp/halley-interface-iterator.txt")
    for number in range(2):
        file.write_text(f"file {number}")
        yield file
