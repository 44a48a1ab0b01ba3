from typing import Tuple


def run(pair: Tuple[int, str], many: Tuple[int, ...] = (1, 2)) -> str:
    return repr((pair, many))
