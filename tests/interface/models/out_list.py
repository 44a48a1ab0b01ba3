from typing import List


def run() -> List[List[int]]:
    return [[1, 2], [3]]
