from typing import Iterator


def run() -> Iterator[int]:
    return iter([1, 2])
