"""The same, piece by piece."""

from typing import Iterator

from cog import Path


def run(paths: list[str]) -> Iterator[Path]:
    with open("own.txt", "w") as own:
        own.write("ordinary")
    yield Path("own.txt")
    for path in paths:
        yield Path(path)
