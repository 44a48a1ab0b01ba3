from typing import List

from cog import Input


def run(words: List[str] = Input(default_factory=list)) -> List[str]:
    return words
