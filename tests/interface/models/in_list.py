from typing import List


def run(words: List[str], numbers: "list[int]" = None, any_of_them: list = None) -> str:
    return repr((words, numbers, any_of_them))
