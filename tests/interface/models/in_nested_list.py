from typing import List


def run(rows: List[List[int]]) -> int:
    return sum(sum(row) for row in rows)
