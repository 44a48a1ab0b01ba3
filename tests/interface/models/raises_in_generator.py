from typing import Iterator


def run() -> Iterator[str]:
    yield "a"
    raise KeyError("b")
