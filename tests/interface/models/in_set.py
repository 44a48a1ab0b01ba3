from typing import List, Set


def run(words: Set[str]) -> List[str]:
    return sorted(words)
