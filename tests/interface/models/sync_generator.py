from typing import Iterator


def run(words: int = 2) -> Iterator[str]:
    for number in range(words):
        print("yields", number)
        yield f"word {number}"
