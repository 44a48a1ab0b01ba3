from typing import List

from cog import Input


def run(words: List[str] = Input(default=["a"])) -> int:
    words.append("b")
    return len(words)
